"""A parent and its children side by side on the same tokens; last those that no child covers."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from msae.analysis.hierarchy.splitting_tokens import NO_CHILD
from msae_dashboards.address import Address, feature_href
from msae_dashboards.feature_index import FeatureIndex
from msae_dashboards.panels.latent import latent_of
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import number, token_chip, token_strip
from msae_dashboards.tables import RunTables
from msae_dashboards.token_strip import linear
from msae_dashboards.visible import quoted, visible

BEFORE, AFTER = 7, 3
COLUMNS = 10


def render(tables: RunTables, address: Address) -> Component:
    """A row a token, a column a latent; tokens are grouped by the child they were picked for."""
    latent, features = latent_of(tables, address), tables.features()
    rows = tables.rows("splitting_tokens", latent, "parent")
    if not rows:
        return html.P("It has no children.", className="note")
    groups = [(child, list(group)) for child, group in groupby(rows, key=lambda row: row["picked_for"])]
    columns = [child for child, _ in groups if child != NO_CHILD][:COLUMNS]
    head = html.Tr(
        [
            html.Th("picked for", scope="col"),
            html.Th("passage, coloured by the parent's activation", scope="col"),
            *(_column(features, each, "parent" if each == latent else "") for each in (latent, *columns)),
        ]
    )
    bodies = [
        html.Tbody(
            [_row(features, row, columns, latent, len(group) if place == 0 else 0) for place, row in enumerate(group)]
        )
        for child, group in groups
        if child in columns or child == NO_CHILD
    ]
    caption = html.Caption("Activations of a parent and its children on the same tokens", className="hidden")
    return html.Div(html.Table([caption, html.Thead(head), *bodies], className="side-by-side"), className="scrolls")


def _column(features: FeatureIndex, latent: int, name: str) -> Component:
    token = quoted((features.top_tokens[latent] or [""])[0])
    link = dcc.Link(str(latent), href=feature_href(latent), className="latent")
    level = int(features.level[latent])
    return html.Th(
        [
            html.I(className=f"dot level-{level % 7}", title=f"level {level}"),
            link,
            html.Div(name or token, title=token),
        ],
        scope="col",
        className="of-latent",
    )


def _row(features: FeatureIndex, row: dict[str, Any], columns: list[int], parent: int, spans: int) -> Component:
    values = dict(zip(row["children"], row["child_values"], strict=True))
    child = row["picked_for"]
    if child == NO_CHILD:
        name: Any = "no child"
    else:
        tokens = features.top_tokens[child][:1]
        name = [html.B(str(child)), *(token_chip(token) for token in tokens)]
    first = [html.Th(html.Div(name), rowSpan=spans, scope="rowgroup")] if spans else []
    where = f"{row['document']}, token {row['offset']:,}"
    cells = [_cell(row["parent_value"], features.max[parent])]
    cells += [_cell(values.get(latent), features.max[latent], latent == child) for latent in columns]
    passage = html.Td(_passage(row, features.max[parent]), title=visible(where), className="passage")
    return html.Tr([*first, passage, *cells])


def _passage(row: dict[str, Any], largest: float) -> Component:
    """The tokens just around, so that a row is a line or two."""
    here = row["position"]
    part = slice(max(here - BEFORE, 0), here + AFTER + 1)
    return token_strip(
        row["context_tokens"][part],
        row["context_ids"][part],
        row["context_values"][part],
        position=here - part.start,
        largest=largest,
    )


def _cell(value: float | None, largest: float, picked: bool = False) -> Component:
    if not value:
        return html.Td()
    return html.Td(
        number(value, 1),
        className="fires chosen" if picked else "fires",
        style={"--a": round(linear(value / largest), 2)},
    )


PANEL = Panel(
    name="splitting-tokens",
    title="Side by side on the same tokens",
    about="latent",
    needs=("features", "splitting_tokens"),
    render=render,
    hint="Of each child tokens evenly spaced in rank of its activation; last, tokens that no child covers",
)
