"""Absorption in numbers: every pair of levels next to chance."""

from __future__ import annotations

from msae.analysis.hierarchy.absorption import ABSORPTION_LEVELS
from msae_dashboards.pages.declared import level_pairs_table
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.nodes import Content

COLUMNS = ("pairs", "absorbing", "rate", "null_rate")


def render(visit: Visit) -> Content:
    """One row a pair of levels."""
    table = visit.tables.table(ABSORPTION_LEVELS.name)
    return level_pairs_table(table, ABSORPTION_LEVELS, COLUMNS, "Absorption between levels")


PANEL = Panel(
    name="absorption-levels",
    title="Between levels",
    about="run",
    needs=(ABSORPTION_LEVELS.name,),
    render=render,
    hint="Absorbing: the parent is missing where the child fires, and its direction is there. Rate: share of the "
    "child's tokens on which the silent parent looks needed; same cosine: the same for directions as near to the child",
)
