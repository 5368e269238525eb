"""Absorption in numbers: every pair of levels beside chance."""

from __future__ import annotations

from dash.development.base_component import Component

from msae.analysis.hierarchy.absorption import ABSORPTION_LEVELS
from msae_dashboards.address import Address
from msae_dashboards.panels.panel import Panel
from msae_dashboards.panels.splitting_levels import pairs_of_levels
from msae_dashboards.tables import RunTables

COLUMNS = {
    "pairs": ("candidates", 0),
    "absorbing": ("absorbing", 0),
    "rate": ("mean rate", 4),
    "null_rate": ("same cosine", 4),
}


def render(tables: RunTables, address: Address) -> Component:
    """One row a pair of levels."""
    return pairs_of_levels(
        tables.table("absorption_levels"), ABSORPTION_LEVELS.columns, COLUMNS, "Absorption between levels"
    )


PANEL = Panel(
    name="absorption-levels",
    title="Between levels",
    about="run",
    needs=("absorption_levels",),
    render=render,
    hint="Absorbing: the parent is missing where the child fires, and its direction is there. Rate: share of the "
    "child's tokens on which the silent parent looks needed; same cosine: the same for directions as near to the child",
)
