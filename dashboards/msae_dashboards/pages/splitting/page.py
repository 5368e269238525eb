"""Splitting: pairs of levels in numbers; `/splitting/<parent>`: a parent and its children on the same tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from msae_dashboards.address import Address
from msae_dashboards.pages.latents import latent_of
from msae_dashboards.pages.navigation import previous_next, tabs
from msae_dashboards.pages.page import Page, across_levels
from msae_dashboards.pages.panel import Visit
from msae_dashboards.pages.splitting import family, levels, parents, tokens
from msae_dashboards.view.nodes import Body, Move, Moves, Stack

PANELS = (levels.PANEL, parents.PANEL, family.PANEL, tokens.PANEL)


def body(visit: Visit) -> Body:
    """The pairs of levels, and the first parent of the list; or the parent in the address."""
    if notice := across_levels(visit):
        return Body("Splitting", notice)
    address = visit.address
    order = parents.all_later(visit.tables)["parent"].take(parents.ranked(visit)).to_pylist()
    if address.latent is not None:
        latent_of(visit)
    first = order[parents.first_on_page(visit, len(order))] if order else None
    chosen = visit if address.latent is not None else visit.at(replace(address, latent=first))
    detail = chosen.show(family.PANEL, tokens.PANEL) if chosen.address.latent is not None else []
    columns = Stack([*chosen.show(parents.PANEL), Stack(detail, "column")], "picked")
    moves = _around(order, chosen.address)
    if address.latent is None:
        parts = [*visit.show(levels.PANEL), columns]
        return Body("Splitting", Stack(parts, "column"), head=Moves(moves, "Other parents"))
    whole = Move("between levels", replace(address, latent=None).href)
    head = [Moves([whole, *moves], "Other parents"), tabs(visit.tables, latent_of(visit), "splitting")]
    return Body("Splitting of", Stack(columns, "column"), name=f"feature {address.latent}", head=head)


def _around(order: Sequence[int], chosen: Address) -> list[Move]:
    place = order.index(chosen.latent) if chosen.latent in order else None
    near = () if place is None else (place - 1, place + 1)
    kept = {key: value for key, value in chosen.query.items() if key != "page"}
    return previous_next(
        *(replace(chosen, latent=order[i], query=kept).href if 0 <= i < len(order) else None for i in near or (-1, -1))
    )


def states(visit: Visit, latents: Sequence[int]) -> Iterable[Address]:
    """The list of every level, and the parents among `latents`."""
    table = parents.all_later(visit.tables)
    for level in sorted(set(table["parent_level"].to_pylist())):
        yield Address(page="splitting", query={"level": str(level)})
    known = set(table["parent"].to_pylist())
    for latent in latents:
        if latent in known:
            yield Address(page="splitting", latent=latent)


PAGE = Page(
    name="splitting", title="Splitting", panels=PANELS, body=body, states=states, needs=("features", "splitting")
)
