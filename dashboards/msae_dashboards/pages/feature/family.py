"""A latent's parents and children in the feature tree. All parents are listed: the tree is a DAG."""

from __future__ import annotations

from typing import Any

from msae_dashboards.pages.latents import latent_of, linked
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import share
from msae_dashboards.view.nodes import Content, Heading, Paragraph, Ranking

SHOWN = 12


def render(visit: Visit) -> Content:
    """Two rankings by the edge's strength."""
    latent, tables = latent_of(visit), visit.tables
    parts: list[Content] = []
    for of, other, title in (("child", "parent", "Parents"), ("parent", "child", "Children")):
        rows = tables.where("tree", latent, of)  # the strongest first
        found = [(linked(tables, row[other]), f"{row['strength']:.2f}", _in_full(row)) for row in rows[:SHOWN]]
        more = Paragraph(f"and {len(rows) - SHOWN} more", "note") if len(rows) > SHOWN else None
        parts += [Heading(f"{title} ({len(rows)})"), Ranking(found, title), more]
    return parts


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
    hint="Strength: P(parent | child) − P(parent | no child)",
)
