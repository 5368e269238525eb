"""The tree as an indented outline that opens and closes: every latent under each of its nearest parents."""

from __future__ import annotations

from dash import dcc, html
from dash.development.base_component import Component

from msae.analysis.hierarchy.branches import Branches, Edge
from msae_dashboards.address import Address, tree_href
from msae_dashboards.panels.latent import linked
from msae_dashboards.panels.panel import Panel
from msae_dashboards.panels.tree_map import roots_shown
from msae_dashboards.primitives import meter
from msae_dashboards.tables import RunTables

CHILDREN, OF_ONE_BRANCH, DEPTH = 5, 60, 3
OPEN, OTHERS = 6, 4


def render(tables: RunTables, address: Address) -> Component:
    """The branches of this page of the tree, some children each; or one branch, all of it opened."""
    branches = tables.branches()
    if address.latent is not None:
        rows = _below(tables, branches, address.latent, OF_ONE_BRANCH, DEPTH)
        return html.Ul(rows, className="outline") if rows else html.P("none", className="note")
    roots = roots_shown(tables, address)
    if not roots:
        return html.P("none", className="note")
    rows = [_item(tables, branches, root, None, CHILDREN, DEPTH, place < OPEN) for place, root in enumerate(roots)]
    return html.Ul(rows, className="outline whole")


def _item(
    tables: RunTables,
    branches: Branches,
    latent: int,
    edge: Edge | None,
    children: int,
    depth: int,
    opened: bool = True,
) -> Component:
    row = _row(tables, branches, latent, edge)
    if depth <= 1 or latent not in branches.children:
        return html.Li(row, className="leaf")
    below = html.Ul(_below(tables, branches, latent, children, depth - 1))
    return html.Li(html.Details([html.Summary(row), below], open=opened))


def _below(tables: RunTables, branches: Branches, latent: int, children: int, depth: int) -> list[Component]:
    own = branches.children.get(latent, ())
    items = [_item(tables, branches, edge.child, edge, children, depth) for edge in own[:children]]
    if len(own) > children:
        more = dcc.Link(f"and {len(own) - children:,} more", href=tree_href(latent), className="note")
        items.append(html.Li(more, className="leaf"))
    return items


def _row(tables: RunTables, branches: Branches, latent: int, edge: Edge | None) -> list[Component]:
    others = [near.parent for near in branches.nearest.get(latent, ()) if edge is None or near.parent != edge.parent]
    parts = [linked(tables, latent)]
    if others:
        links = [part for other in others[:OTHERS] for part in (" ", dcc.Link(str(other), href=tree_href(other)))]
        more = [f" and {len(others) - OTHERS} more"] if len(others) > OTHERS else []
        parts.append(html.Span(["also under", *links, *more], className="also"))
    if latent in branches.children:
        below = len(branches.children[latent])
        said = f"{below:,} {'child' if below == 1 else 'children'}"
        parts.append(dcc.Link(said, href=tree_href(latent), className="opens"))
    if edge is not None:
        parts.append(meter(edge.strength, f"{edge.strength:.2f}"))
    return parts


PANEL = Panel(
    name="tree-outline",
    title="Outline",
    about="run",
    needs=("features", "tree"),
    render=render,
    hint="Each latent under its nearest parents; the bar is the strength P(parent | child) − P(parent | no child)",
)
