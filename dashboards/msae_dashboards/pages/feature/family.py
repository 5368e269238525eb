"""A latent's place in the nest: its parents, how its tokens are shared out among its children, what absorbs it, and
whoever is further up and down. All are listed: the tree is a DAG."""

from __future__ import annotations

from typing import Any

from msae_dashboards.address import absorption_href
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.latents import latent_of, linked
from msae_dashboards.pages.nest.shown import absorbing_pairs
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.pages.splitting import family as splitting
from msae_dashboards.view.figures import share
from msae_dashboards.view.nodes import Content, Fold, Heading, Ranking

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
                parts += _shared_out(tables, latent) if name == "Children" else []
    return [*parts, *_absorbed(tables, latent)]


def _shared_out(tables: RunTables, latent: int) -> list[Content]:
    row = splitting.family_of(tables, latent) if tables.has("splitting") else None
    return [] if row is None else [splitting.shared_out(tables, row, splitting.by_share(row))]


def _absorbed(tables: RunTables, latent: int) -> list[Content]:
    """The latents that have absorbed this one, and those that it has absorbed, by both witnesses."""
    parts: list[Content] = []
    pairs = [row for parents in absorbing_pairs(tables).values() for row in parents.values()]
    for of, other, name in (("parent", "child", "Absorbed by"), ("child", "parent", "Has absorbed")):
        found = sorted((row for row in pairs if row[of] == latent), key=lambda row: (-row["hole"], row[other]))
        entries = [
            (
                linked(tables, row[other], href=absorption_href(row["parent"], row["child"])),
                share(row["hole"], 1),
                f"The parent is missing on {share(row['hole'], 1)} of the child's tokens beyond what their types make "
                f"expect; the child fires on {row['n_child']:,}",
            )
            for row in found[:SHOWN]
        ]
        if entries:
            parts += [Heading(f"{name} ({len(found)})"), Ranking(entries, name, "hole")]
    return parts


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
    title="Place in the nest",
    about="latent",
    needs=("features", "tree"),
    render=render,
    hint="Strength: P(parent | child) − P(parent | no child). Further: not without another of the family in between",
)
