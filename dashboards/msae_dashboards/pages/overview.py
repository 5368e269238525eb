"""The overview of a run: what its levels are worth, how often latents fire, how it trained, what it was made from."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from msae_dashboards.address import Address
from msae_dashboards.pages.page import Page
from msae_dashboards.panels import density_by_level, fingerprint, level_table, rate_distortion, show, training_curves
from msae_dashboards.tables import RunTables


def render(tables: RunTables, address: Address) -> Component:
    """Two columns: figures beside what they were made from."""
    wide = [level_table.PANEL, training_curves.PANEL]
    pair = [rate_distortion.PANEL, density_by_level.PANEL]
    left = [
        show(wide[0], tables, address),
        html.Div([show(panel, tables, address) for panel in pair], className="pair"),
        show(wide[1], tables, address),
    ]
    return html.Div(
        [
            html.H1(["Run ", html.Span(tables.title, className="name")]),
            html.Div(
                [html.Div(left, className="column"), show(fingerprint.PANEL, tables, address)], className="overview"
            ),
        ],
        className="page",
    )


PAGE = Page(name="", title="Overview", render=render)
