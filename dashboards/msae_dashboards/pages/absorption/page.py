"""Absorption: pairs of levels in numbers, pairs of latents ranked; `/absorption/<parent>?child=` shows one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from msae_dashboards.address import Address, absorption_href
from msae_dashboards.pages.absorption import concepts, levels, pairs, tokens
from msae_dashboards.pages.latents import latent_of
from msae_dashboards.pages.navigation import previous_next, tabs
from msae_dashboards.pages.page import Page, across_levels
from msae_dashboards.pages.panel import Visit
from msae_dashboards.view.nodes import Body, Move, Moves, Stack

PANELS = (levels.PANEL, pairs.PANEL, tokens.PANEL, concepts.PANEL)


def body(visit: Visit) -> Body:
    """The pairs of levels, and the first pair of the list; or the pair in the address."""
    if notice := across_levels(visit):
        return Body("Absorption", Stack([notice, *visit.show(concepts.PANEL)], "column"))
    address, order = visit.address, ranked(visit)
    level = address.query.get("level", "")
    if address.latent is None:
        first = pairs.first_on_page(visit, len(order))
        chosen = visit.at(_at(address, *order[first])) if order else visit
    else:
        chosen = visit.at(_at(address, latent_of(visit), address.whole("child")))
    detail = chosen.show(tokens.PANEL) if chosen.address.latent is not None else []
    columns = Stack([*chosen.show(pairs.PANEL), Stack(detail, "column")], "picked")
    moves = _around(order, chosen.address, level)
    if address.latent is None:
        parts = [*visit.show(levels.PANEL), columns, *visit.show(concepts.PANEL)]
        return Body("Absorption", Stack(parts, "column"), head=Moves(moves, "Other pairs"))
    head = [
        Moves([Move("between levels", absorption_href(level=level)), *moves], "Other pairs"),
        tabs(visit.tables, latent_of(visit), "absorption"),
    ]
    return Body("Absorption of", Stack(columns, "column"), name=f"feature {address.latent}", head=head)


def ranked(visit: Visit) -> list[tuple[int, int]]:
    """The pairs of the level kept to, in the order of the list."""
    found = pairs.tested(visit.tables).take(pairs.kept(visit))
    return list(zip(found["parent"].to_pylist(), found["child"].to_pylist(), strict=True))


def _at(address: Address, parent: int, child: int | None) -> Address:
    return replace(address, latent=parent, query={**address.query, "child": "" if child is None else str(child)})


def _around(order: Sequence[tuple[int, int]], chosen: Address, level: str) -> list[Move]:
    here = (chosen.latent, chosen.whole("child"))
    place = next((i for i, pair in enumerate(order) if pair == here), None)
    near = () if place is None else (place - 1, place + 1)
    return previous_next(
        *(absorption_href(*order[i], level=level) if 0 <= i < len(order) else None for i in near or (-1, -1))
    )


def states(visit: Visit, latents: Sequence[int]) -> Iterable[Address]:
    """The list of every level, and the first of the pairs whose parent or child is among `latents`."""
    for level in sorted(set(pairs.tested(visit.tables)["parent_level"].to_pylist())):
        yield Address(page="absorption", query={"level": str(level)})
    among = set(latents)
    for parent, child in [pair for pair in ranked(visit) if among.intersection(pair)][: pairs.SHOWN]:
        yield Address(page="absorption", latent=parent, query={"child": str(child)})


PAGE = Page(
    name="absorption", title="Absorption", panels=PANELS, body=body, states=states, needs=("features", "absorption")
)
