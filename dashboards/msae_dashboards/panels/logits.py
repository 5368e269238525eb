"""The tokens a latent's direction speaks for and against."""

from __future__ import annotations

from typing import Any

from dash import html
from dash.development.base_component import Component

from msae_dashboards.address import Address
from msae_dashboards.panels.latent import latent_of
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import number, token_chip
from msae_dashboards.tables import RunTables


def render(tables: RunTables, address: Address) -> Component:
    """Two lists: negative logits, positive logits, the strongest first."""
    rows = tables.rows("logits", latent_of(tables, address))
    largest = max((abs(row["logit"]) for row in rows), default=0.0)
    sides = [("bottom", "Negative logits", "negative"), ("top", "Positive logits", "positive")]
    return html.Div([_side(rows, side, title, name, largest) for side, title, name in sides], className="logit-lists")


def _side(rows: list[dict[str, Any]], side: str, title: str, name: str, largest: float) -> Component:
    items = [_item(row, largest) for row in rows if row["side"] == side]
    return html.Div([html.H3(title), html.Ol(items, className=f"logit-list {name}")])


def _item(row: dict[str, Any], largest: float) -> Component:
    token = f"⟨{row['token_id']}⟩" if row["token"] is None else row["token"]
    strength = {"--a": f"{0.1 + 0.6 * abs(row['logit']) / largest if largest else 0:.2f}"}
    value = html.Span(number(row["logit"], 2), className="value", style=strength)
    return html.Li([token_chip(token, f"id {row['token_id']}"), value])


PANEL = Panel(
    name="logits",
    title="Logits",
    about="latent",
    needs=("features", "logits"),
    render=render,
    hint="The decoder direction through the final norm's gain and the unembedding, the mean removed",
)
