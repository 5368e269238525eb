"""The feature tree: what chance gives, the whole as a map and an outline; `/tree/<latent>` opens a branch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msae_dashboards.address import Address, tree_href
from msae_dashboards.pages.feature import summary
from msae_dashboards.pages.latents import kept_level, latent_of
from msae_dashboards.pages.navigation import level_choices, previous_next, tabs
from msae_dashboards.pages.page import Page, across_levels
from msae_dashboards.pages.panel import Visit
from msae_dashboards.pages.tree import chance, map, outline, parents
from msae_dashboards.view.nodes import Body, Choice, Choices, Content, Move, Moves, Stack

PANELS = (map.PANEL, outline.PANEL, chance.PANEL, summary.PANEL, parents.PANEL)


def body(visit: Visit) -> Body:
    """The whole tree, or the branch of the latent in the address."""
    if notice := across_levels(visit):
        return Body("Tree", notice)
    return _whole(visit) if visit.address.latent is None else _branch(visit)


def _whole(visit: Visit) -> Body:
    tables, level = visit.tables, kept_level(visit)
    levels = range(max(tables.features().n_levels - 1, 1))
    kept = "" if level is None else str(level)
    pages = len(map.root_pages(tables, level))
    page = min(max(visit.address.whole("page") or 1, 1), max(pages, 1))
    numbers = [
        Choice(str(n), tree_href(level=kept, page=str(n) if n > 1 else ""), n == page) for n in range(1, pages + 1)
    ]
    head: list[Content] = [
        chance.badge(tables),
        level_choices(levels, level, lambda text: tree_href(level=text), label="Level of the roots shown"),
        Choices(numbers, "Pages of the tree") if pages > 1 else None,
    ]
    panels = visit.show(map.PANEL, outline.PANEL, chance.PANEL)
    return Body("Tree", Stack(panels, "column"), head=head)


def _branch(visit: Visit) -> Body:
    latent = latent_of(visit)
    roots = visit.tables.branches().roots
    place = roots.index(latent) if latent in roots else None
    near = () if place is None else (place - 1, place + 1)
    before, after = (tree_href(roots[i]) if 0 <= i < len(roots) else None for i in near or (-1, -1))
    whole = Move("whole tree", tree_href())
    head = [
        Moves([whole, *previous_next(before, after)], "Other branches"),
        tabs(visit.tables, latent, "tree"),
        chance.badge(visit.tables),
    ]
    left = Stack(visit.show(summary.PANEL, parents.PANEL), "column")
    right = Stack(visit.show(map.PANEL, outline.PANEL), "column")
    return Body("Branch of", Stack([left, right], "aside"), name=f"feature {latent}", head=head)


def states(visit: Visit, latents: Sequence[int]) -> Iterable[Address]:
    """Each level's roots, every page, and the branches of the latents that have children."""
    tables = visit.tables
    branches = tables.branches()
    for level in (None, *range(tables.features().n_levels - 1)):
        kept = {} if level is None else {"level": str(level)}
        for page in range(1, len(map.root_pages(tables, level)) + 1):
            state = {**kept, **({"page": str(page)} if page > 1 else {})}
            if state:
                yield Address(page="tree", query=state)
    for latent in latents:
        if latent in branches.children:
            yield Address(page="tree", latent=latent)


PAGE = Page(name="tree", title="Tree", panels=PANELS, body=body, states=states, needs=("features", "tree"))
