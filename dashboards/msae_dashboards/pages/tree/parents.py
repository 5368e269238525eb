"""All parents of a latent, with every figure of their edges: the tree is a DAG."""

from __future__ import annotations

from typing import Any

from msae_dashboards.address import tree_href
from msae_dashboards.pages.latents import latent_of, linked
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import number, share
from msae_dashboards.view.nodes import Content, Fold, Link, Meter, Paragraph, Stack, Terms

SHOWN = 40


def render(visit: Visit) -> Content:
    """One block a parent, the strongest edge first."""
    latent = latent_of(visit)
    rows = visit.tables.where("tree", latent, "child")
    if not rows:
        return Paragraph("none: it is a root, or fires too rarely to be tested", "note")
    near = {edge.parent for edge in visit.tables.branches().nearest[latent]}
    rest = [_parent(visit, row, row["parent"] in near) for row in rows[SHOWN:]]
    more = Fold(f"{len(rest)} more", rest) if rest else None
    return [*(_parent(visit, row, row["parent"] in near) for row in rows[:SHOWN]), more]


def _parent(visit: Visit, row: dict[str, Any], nearest: bool) -> Content:
    values: list[tuple[str, Content]] = [
        ("P(parent | child)", share(row["p_parent_given_child"], 1)),
        ("by the token alone", "n/a" if row.get("p_by_token") is None else share(row["p_by_token"], 1)),
        ("P(child | parent)", share(row["p_child_given_parent"], 1)),
        ("together on", f"{row['together']:,} tokens"),
        ("lift", f"{number(row['lift'], 1)} ×"),
        ("decoder cosine", number(row["decoder_cosine"], 2)),
        ("correlation", number(row.get("activation_correlation"), 2)),
        ("gain", "n/a" if row["gain"] is None else share(row["gain"], 0)),
    ]
    branch = Link("branch" if nearest else "a parent's parent", tree_href(row["parent"]), "opens")
    strength = Meter(row["strength"], f"{row['strength']:.2f}", "strength: P(parent | child) − P(parent | no child)")
    return Stack([Stack([linked(visit.tables, row["parent"]), branch, strength], "row"), Terms(values)], "parent")


PANEL = Panel(
    name="tree-parents",
    title="Parents",
    about="latent",
    needs=("features", "tree"),
    render=render,
    hint="Every parent: latents of earlier levels without which this one hardly ever fires",
)
