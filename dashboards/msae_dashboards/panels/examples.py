"""Where a latent fires: its strongest activations, then true quantile bands, each with the share it contains."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from dash import html
from dash.development.base_component import Component

from msae_dashboards.address import Address
from msae_dashboards.panels.latent import latent_of
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import number, share, token_strip
from msae_dashboards.tables import RunTables
from msae_dashboards.visible import visible


def render(tables: RunTables, address: Address) -> Component:
    """One block a band, the strongest first. Colours are relative to the latent's largest activation."""
    latent = latent_of(tables, address)
    rows = tables.rows("examples", latent)
    if not rows:
        return html.P("It never fires on the sample.", className="note")
    bounds = {row["band"]: row for row in tables.rows("bands", latent)}
    largest = max(row["high"] for row in bounds.values())
    blocks = [
        html.Div([html.H3(_title(bounds.get(band))), *(_example(row, largest) for row in group)], className="band")
        for band, group in groupby(rows, key=lambda row: row["band"])
    ]
    return html.Div([controls(), *blocks], className="examples")


def controls() -> Component:
    """How much context shows, and on which scale colours are: the page's script listens to the buttons."""
    groups = [
        ("context", "Tokens of context on either side", [("5", "±5"), ("16", "±16"), ("full", "full")]),
        ("theme", "Colour scale", [("orange", "linear"), ("emerald", "log")]),
    ]
    return html.Div(
        [
            html.Div(
                [
                    html.Button(label, type="button", **{"data-set": name, "data-value": value})
                    for value, label in choices
                ],
                role="group",
                className=f"choice {name}",
                **{"aria-label": title},
            )
            for name, title, choices in groups
        ],
        className="controls",
    )


def _title(band: dict[str, Any] | None) -> str:
    if band is None:
        return "Top activations"
    return f"Interval {number(band['low'], 2)} – {number(band['high'], 2)} (contains {share(band['share'], 1)})"


def _example(row: dict[str, Any], largest: float) -> Component:
    where = f"{row['document']}, token {row['offset']:,} (row {row['row']:,} of the sample)"
    strip = token_strip(
        row["context_tokens"], row["context_ids"], row["context_values"], position=row["position"], largest=largest
    )
    value = html.Span(number(row["value"], 2), className="value", title=visible(where))
    return html.Div([value, strip], className="example")


PANEL = Panel(
    name="examples",
    title="Examples",
    about="latent",
    needs=("features", "examples", "bands"),
    render=render,
    hint="Hover a token for its activation and id. Bands hold equal numbers of the nonzero activations",
)
