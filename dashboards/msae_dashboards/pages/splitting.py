"""Splitting: pairs of levels in numbers; `/splitting/<parent>`: a parent and its children on the same tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dash import dcc, html
from dash.development.base_component import Component

from msae_dashboards.address import Address
from msae_dashboards.pages.page import Page, not_found
from msae_dashboards.panels import show, splitting_family, splitting_levels, splitting_parents, splitting_tokens
from msae_dashboards.panels.latent import UnknownLatentError, latent_of
from msae_dashboards.tables import MissingTableError, RunTables
from msae_dashboards.ways import beside


def render(tables: RunTables, address: Address) -> Component:
    """The pairs of levels, and the first parent of the list; or the parent in the address."""
    title = [html.H1("Splitting")]
    try:
        table = splitting_parents.all_later(tables)
        order = table["parent"].take(splitting_parents.ranked(tables, address)).to_pylist()
    except MissingTableError:
        order = []
    if address.latent is None:
        body = [show(splitting_levels.PANEL, tables, address)]
        chosen = replace(address, latent=order[0]) if order else address
    else:
        try:
            chosen, body = replace(address, latent=latent_of(tables, address)), []
        except UnknownLatentError as error:
            return not_found(f"{error}.".capitalize())
        title = [html.H1(["Splitting of ", html.Span(f"feature {address.latent}", className="name")])]
    detail = [
        show(panel, tables, chosen)
        for panel in (splitting_family.PANEL, splitting_tokens.PANEL)
        if chosen.latent is not None
    ]
    columns = [show(splitting_parents.PANEL, tables, chosen), html.Div(detail, className="column")]
    all_parents = dcc.Link("between levels", href=replace(address, latent=None).href, className="way")
    whole = [] if address.latent is None else [all_parents]
    ways = html.Nav([*whole, *_ways(order, chosen)], className="ways", **{"aria-label": "Other parents"})
    return html.Div(
        [html.Header([*title, ways]), html.Div([*body, html.Div(columns, className="picked")], className="column")],
        className="page",
    )


def _ways(order: Sequence[int], chosen: Address) -> list[Component]:
    place = order.index(chosen.latent) if chosen.latent in order else None
    near = (None, None) if place is None else (place - 1, place + 1)
    return beside(
        *(replace(chosen, latent=order[i]).href if i is not None and 0 <= i < len(order) else None for i in near)
    )


def states(tables: RunTables, latents: Sequence[int]) -> Iterable[Address]:
    """The list of every level, and the parents among `latents`."""
    table = splitting_parents.all_later(tables)
    for level in sorted(set(table["parent_level"].to_pylist())):
        yield Address(page="splitting", query={"level": str(level)})
    parents = set(table["parent"].to_pylist())
    for latent in latents:
        if latent in parents:
            yield Address(page="splitting", latent=latent)


PAGE = Page(name="splitting", title="Splitting", render=render, states=states)
