"""Absorption: pairs of levels in numbers, pairs of latents ranked; `/absorption/<parent>?child=` shows one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dash import dcc, html
from dash.development.base_component import Component

from msae_dashboards.address import Address, absorption_href
from msae_dashboards.pages.page import Page, not_found
from msae_dashboards.panels import absorption_levels, absorption_pairs, absorption_tokens, concept_absorption, show
from msae_dashboards.panels.latent import UnknownLatentError, latent_of
from msae_dashboards.tables import MissingTableError, RunTables
from msae_dashboards.ways import beside


def render(tables: RunTables, address: Address) -> Component:
    """The pairs of levels, and the first pair of the list; or the pair in the address."""
    try:
        order = ranked(tables, address)
    except MissingTableError:
        order = []
    body = []
    title = [html.H1("Absorption")]
    chosen = address
    if address.latent is None:
        body = [show(absorption_levels.PANEL, tables, address)]
        if order:
            chosen = _at(address, *order[0])
    else:
        try:
            chosen = _at(address, latent_of(tables, address), address.whole("child"))
        except UnknownLatentError as error:
            return not_found(f"{error}.".capitalize())
        except MissingTableError:
            pass
        title = [html.H1(["Absorption of ", html.Span(f"feature {address.latent}", className="name")])]
    detail = [] if chosen.latent is None else [show(absorption_tokens.PANEL, tables, chosen)]
    concepts = [show(concept_absorption.PANEL, tables, address)] if address.latent is None else []
    columns = [show(absorption_pairs.PANEL, tables, chosen), html.Div(detail, className="column")]
    level = address.query.get("level", "")
    whole = dcc.Link("between levels", href=absorption_href(level=level), className="way")
    ways = [*([] if address.latent is None else [whole]), *_ways(order, chosen, level)]
    head = html.Header([*title, html.Nav(ways, className="ways", **{"aria-label": "Other pairs"})])
    return html.Div(
        [head, html.Div([*body, html.Div(columns, className="picked"), *concepts], className="column")],
        className="page",
    )


def ranked(tables: RunTables, address: Address) -> list[tuple[int, int]]:
    """The pairs of the level kept to, in the order of the list."""
    pairs = absorption_pairs.tested(tables).take(absorption_pairs.kept(tables, address))
    return list(zip(pairs["parent"].to_pylist(), pairs["child"].to_pylist(), strict=True))


def _at(address: Address, parent: int, child: int | None) -> Address:
    return replace(address, latent=parent, query={**address.query, "child": "" if child is None else str(child)})


def _ways(order: Sequence[tuple[int, int]], chosen: Address, level: str) -> list[Component]:
    here = (chosen.latent, chosen.whole("child"))
    place = next((i for i, pair in enumerate(order) if pair == here), None)
    near = (None, None) if place is None else (place - 1, place + 1)
    return beside(
        *(absorption_href(*order[i], level=level) if i is not None and 0 <= i < len(order) else None for i in near)
    )


def states(tables: RunTables, latents: Sequence[int]) -> Iterable[Address]:
    """The list of every level, and the pairs in it whose parent or child is among `latents`."""
    for level in sorted(set(absorption_pairs.tested(tables)["parent_level"].to_pylist())):
        yield Address(page="absorption", query={"level": str(level)})
    among = set(latents)
    for parent, child in ranked(tables, Address(page="absorption"))[: absorption_pairs.SHOWN]:
        if parent in among or child in among:
            yield Address(page="absorption", latent=parent, query={"child": str(child)})


PAGE = Page(name="absorption", title="Absorption", render=render, states=states)
