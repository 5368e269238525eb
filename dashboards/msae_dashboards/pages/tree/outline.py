"""The tree as an indented outline that opens and closes: every latent under each of its nearest parents."""

from __future__ import annotations

from msae.analysis.hierarchy.branches import Edge
from msae_dashboards.address import tree_href
from msae_dashboards.pages.latents import linked
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.pages.tree.map import roots_shown
from msae_dashboards.view.nodes import Branch, Content, Link, Meter, Outline, Text

CHILDREN, OF_ONE_BRANCH, DEPTH = 5, 60, 3
OPEN, OTHERS = 6, 4


def render(visit: Visit) -> Content:
    """The branches of this page of the tree, some children each; or one branch, all of it opened."""
    if visit.address.latent is not None:
        return Outline(_below(visit, visit.address.latent, OF_ONE_BRANCH, DEPTH))
    roots = enumerate(roots_shown(visit))
    return Outline([_branch(visit, root, None, CHILDREN, DEPTH, place < OPEN) for place, root in roots], whole=True)


def _branch(visit: Visit, latent: int, edge: Edge | None, children: int, depth: int, opened: bool = True) -> Branch:
    below = _below(visit, latent, children, depth - 1) if depth > 1 else []
    return Branch(_row(visit, latent, edge), below, opened)


def _below(visit: Visit, latent: int, children: int, depth: int) -> list[Branch]:
    own = visit.tables.branches().children.get(latent, ())
    branches = [_branch(visit, edge.child, edge, children, depth) for edge in own[:children]]
    if len(own) > children:
        branches.append(Branch(Link(f"and {len(own) - children:,} more", tree_href(latent), "note")))
    return branches


def _row(visit: Visit, latent: int, edge: Edge | None) -> Content:
    branches = visit.tables.branches()
    others = [near.parent for near in branches.nearest.get(latent, ()) if edge is None or near.parent != edge.parent]
    parts: list[Content] = [linked(visit.tables, latent)]
    if others:
        links = [part for other in others[:OTHERS] for part in (" ", Link(str(other), tree_href(other)))]
        more = f" and {len(others) - OTHERS} more" if len(others) > OTHERS else None
        parts.append(Text(["also under", *links, more], "also"))
    if latent in branches.children:
        below = len(branches.children[latent])
        parts.append(Link(f"{below:,} {'child' if below == 1 else 'children'}", tree_href(latent), "opens"))
    if edge is not None:
        parts.append(Meter(edge.strength, f"{edge.strength:.2f}"))
    return parts


PANEL = Panel(
    name="tree-outline",
    title="Outline",
    about="run",
    needs=("features", "tree"),
    render=render,
    hint="Each latent under its nearest parents; the bar is the strength P(parent | child) − P(parent | no child)",
)
