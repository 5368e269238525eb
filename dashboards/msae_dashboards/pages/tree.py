"""The feature tree: what chance gives, the whole as a map and an outline; `/tree/<latent>` opens a branch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dash import dcc, html
from dash.development.base_component import Component

from msae_dashboards.address import Address, feature_href, tree_href
from msae_dashboards.pages.page import Page, not_found
from msae_dashboards.panels import show, summary, tree_chance, tree_map, tree_outline, tree_parents
from msae_dashboards.panels.latent import UnknownLatentError, kept_level, latent_of
from msae_dashboards.tables import RunTables
from msae_dashboards.ways import beside, level_steps, steps


def render(tables: RunTables, address: Address) -> Component:
    """The whole tree, or the branch of the latent in the address."""
    return _whole(tables, address) if address.latent is None else _branch(tables, address)


def _whole(tables: RunTables, address: Address) -> Component:
    level = kept_level(tables, address)
    levels = range(max(tables.features().n_levels - 1, 1))
    kept = "" if level is None else str(level)
    pages = len(tree_map.root_pages(tables, level))
    page = min(max(address.whole("page") or 1, 1), max(pages, 1))
    choices = [(str(n), tree_href(level=kept, page=str(n) if n > 1 else ""), n == page) for n in range(1, pages + 1)]
    head = [
        html.H1("Tree"),
        tree_chance.badge(tables),
        level_steps(levels, level, lambda text: tree_href(level=text), label="Level of the roots shown"),
        *([steps(choices, label="Pages of the tree")] if pages > 1 else []),
    ]
    panels = (tree_map.PANEL, tree_outline.PANEL, tree_chance.PANEL)
    body = [show(panel, tables, address) for panel in panels]
    return html.Div([html.Header(head), html.Div(body, className="column")], className="page")


def _branch(tables: RunTables, address: Address) -> Component:
    try:
        latent = latent_of(tables, address)
    except UnknownLatentError as error:
        return not_found(f"{error}.".capitalize())
    roots = tables.branches().roots
    place = roots.index(latent) if latent in roots else None
    before, after = (roots[i] if place is not None and 0 <= i < len(roots) else None for i in _around(place))
    ways = beside(*(None if root is None else tree_href(root) for root in (before, after)))
    whole = dcc.Link("whole tree", href=tree_href(), className="way")
    own = dcc.Link("feature page", href=feature_href(latent), className="way")
    head = [
        html.H1(["Branch of ", html.Span(f"feature {latent}", className="name")]),
        html.Nav([whole, *ways, own], className="ways", **{"aria-label": "Other branches"}),
        tree_chance.badge(tables),
    ]
    left = [show(panel, tables, address) for panel in (summary.PANEL, tree_parents.PANEL)]
    right = [show(panel, tables, address) for panel in (tree_map.PANEL, tree_outline.PANEL)]
    columns = [html.Div(left, className="column"), html.Div(right, className="column")]
    return html.Div([html.Header(head), html.Div(columns, className="aside")], className="page")


def _around(place: int | None) -> tuple[int, int]:
    return (-1, -1) if place is None else (place - 1, place + 1)


def states(tables: RunTables, latents: Sequence[int]) -> Iterable[Address]:
    """Each level's roots, every page, and the branches of the latents that have children."""
    branches = tables.branches()
    for level in (None, *range(tables.features().n_levels - 1)):
        kept = {} if level is None else {"level": str(level)}
        for page in range(1, len(tree_map.root_pages(tables, level)) + 1):
            state = {**kept, **({"page": str(page)} if page > 1 else {})}
            if state:
                yield Address(page="tree", query=state)
    for latent in latents:
        if latent in branches.children:
            yield Address(page="tree", latent=latent)


PAGE = Page(name="tree", title="Tree", render=render, states=states)
