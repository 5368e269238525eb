"""Which share of each side's latents is found again in each other: a map, whose cells choose the two looked at."""

from __future__ import annotations

from dash import dcc, html
from dash.development.base_component import Component

from msae_dashboards.address import Address
from msae_dashboards.panels.compared import Compared
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import number, share
from msae_dashboards.tables import RunTables


def render(tables: RunTables, address: Address) -> Component:
    """A square of sides, and what counts as found."""
    compared = Compared.of(tables, address)
    overlap = compared.overlap(tables)
    places = range(len(compared.sides))
    if len(places) < 2:
        return html.P("The run has one level: there is nothing to compare it with in the run itself.", className="note")
    head = html.Tr([html.Th("latents of"), *(html.Th(["in ", side.shown], scope="col") for side in compared.sides)])
    rows = [
        html.Tr(
            [
                html.Th(compared.sides[a].shown, scope="row"),
                *(_cell(compared, overlap, a, b) for b in places),
            ]
        )
        for a in places
    ]
    said = (
        "Found again: each the other's nearest, by direction or by firing, and nearer than the nearest is by chance "
        "(99.9th percentile for the two groups). A cell picks two."
    )
    caption = html.Caption("Share of live latents found again", className="hidden")
    return html.Div(
        [
            html.Table([caption, html.Thead(head), html.Tbody(rows)], className="found-again"),
            html.P(said, className="note"),
        ]
    )


def _cell(compared: Compared, overlap: dict, a: int, b: int) -> Component:
    row = overlap.get((a, b))
    if a == b or row is None:
        return html.Td("")
    value = row["share"]
    text = "n/a" if value is None else share(value, 0)
    title = f"{row['matched']:,} of {row['live']:,} live latents are found again, {row['by_both']:,} by both measures"
    if "expected" in row:
        title += f"; chance gives {number(row['expected'], 1)}"
    here = (a, b) == (compared.a, compared.b)
    style = {"--s": round(value or 0.0, 2)}
    if here:
        return html.Td(html.Span(text, title=title, **{"aria-current": "true"}), className="on", style=style)
    link = dcc.Link(text, href=compared.href(a=str(a), b=str(b), level=""), title=title)
    return html.Td(link, style=style)


PANEL = Panel(
    name="compare-map",
    title="Found again",
    about="run",
    needs=("features", "level_pairs", "level_overlap"),
    render=render,
    hint="Of the latents of a row's side that fire, the share that has a counterpart in the column's side",
)
