"""A latent's family in the feature tree: its nearest parents and children, and whoever is further up and down. All are
listed: the tree is a DAG."""

from __future__ import annotations

from typing import Any

from msae_dashboards.address import tree_href
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.latents import latent_of, linked
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import share
from msae_dashboards.view.nodes import Content, Fold, Heading, Link, Paragraph, Ranking

SHOWN = 12


def render(visit: Visit) -> Content:
    """Rankings by the edge's strength."""
    latent, tables = latent_of(visit), visit.tables
    branches = tables.branches()
    near = {edge.parent for edge in branches.nearest.get(latent, ())}
    own = {edge.child for edge in branches.children.get(latent, ())}
    parts: list[Content] = []
    for of, other, nearest, names in (
        ("child", "parent", near, ("Parents", "Further ancestors")),
        ("parent", "child", own, ("Children", "Further descendants")),
    ):
        rows = tables.where("tree", latent, of)  # the strongest first
        for name, is_near in zip(names, (True, False), strict=True):
            found = [row for row in rows if (row[other] in nearest) is is_near]
            if found or is_near:
                parts += _ranking(tables, found, other, name)
    return [*parts, Paragraph(Link("its branch of the tree", tree_href(latent), "opens"), "note")]


def _ranking(tables: RunTables, rows: list[dict[str, Any]], other: str, name: str) -> list[Content]:
    entries = [(linked(tables, row[other]), f"{row['strength']:.2f}", _in_full(row)) for row in rows]
    more = Fold(f"{len(rows) - SHOWN} more", Ranking(entries[SHOWN:], f"{name}, continued")) if rows[SHOWN:] else None
    return [Heading(f"{name} ({len(rows)})"), Ranking(entries[:SHOWN], name, "strength" if rows else ""), more]


def _in_full(row: dict[str, Any]) -> str:
    return (
        f"P(parent | child) {share(row['p_parent_given_child'], 1)}, P(child | parent) "
        f"{share(row['p_child_given_parent'], 1)}, together on {row['together']:,} tokens, decoder cosine "
        f"{row['decoder_cosine']:.2f}"
    )


PANEL = Panel(
    name="family",
    title="Parents and children",
    about="latent",
    needs=("features", "tree"),
    render=render,
    hint="Strength: P(parent | child) − P(parent | no child). Further: not without another of the family in between",
)
