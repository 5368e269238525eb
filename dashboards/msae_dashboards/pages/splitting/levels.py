"""Splitting in numbers: every pair of levels next to chance, and the same between SAEs that were trained apart."""

from __future__ import annotations

from msae.analysis.hierarchy.splitting import SPLITTING_LEVELS
from msae_dashboards.pages.declared import level_pairs_table
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.nodes import Command, Content, Heading, Paragraph

INDEPENDENT = "splitting_independent_levels"
COLUMNS = (
    "n_parents",
    "with_children",
    "split",
    "edges",
    "edges_by_chance",
    "children_per_parent",
    "coverage",
    "null_coverage",
    "overlap",
    "entropy",
)


def render(visit: Visit) -> Content:
    """One row a pair of levels; below, one a pair of SAEs."""
    tables = visit.tables
    own = level_pairs_table(tables.table(SPLITTING_LEVELS.name), SPLITTING_LEVELS, COLUMNS, "Splitting between levels")
    if not tables.has(INDEPENDENT):
        how: list[Content] = [
            "To compare with SAEs of the same widths that were trained apart: train them with ",
            Command(f"msae train --independent {tables.title}"),
            ", then analyze the run again.",
        ]
        return [own, Paragraph(how, "note")]
    title = "The same between SAEs of these widths that were trained apart: a child is any latent of the wider one"
    caption = "Splitting between independent SAEs"
    return [own, Heading(title), level_pairs_table(tables.table(INDEPENDENT), SPLITTING_LEVELS, COLUMNS, caption)]


PANEL = Panel(
    name="splitting-levels",
    title="Between levels",
    about="run",
    needs=(SPLITTING_LEVELS.name,),
    render=render,
    hint="Means over the parents that have a child; by chance: every latent's codes shifted within documents",
)
