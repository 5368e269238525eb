"""The nearest decoder directions: in the latent's own level, and in the others."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from msae_dashboards.address import Address
from msae_dashboards.panels.latent import latent_of, linked, ranking
from msae_dashboards.panels.panel import Panel
from msae_dashboards.tables import RunTables


def render(tables: RunTables, address: Address) -> Component:
    """Two rankings by cosine."""
    rows = tables.rows("neighbours", latent_of(tables, address))
    parts = []
    for same, title in ((True, "in the same level"), (False, "in other levels")):
        found = [
            (linked(tables, row["neighbour"]), f"{row['cosine']:.3f}", f"cosine {row['cosine']:.5f}")
            for row in rows
            if row["same_level"] is same
        ]
        parts += [html.H3(title), ranking(found, label=f"Nearest directions {title}")]
    return html.Div(parts)


PANEL = Panel(
    name="neighbours",
    title="Nearest directions",
    about="latent",
    needs=("features", "neighbours"),
    render=render,
    hint="Cosine of the decoder directions",
)
