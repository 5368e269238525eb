"""What a page is: its place in the URL, and a function from the run's tables and an address to what it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dash import Dash, html
from dash.development.base_component import Component

from msae_dashboards.address import Address
from msae_dashboards.tables import RunTables


def no_callbacks(app: Dash, tables: RunTables) -> None:
    """A page whose every state is its address."""


def no_states(tables: RunTables, latents: Sequence[int]) -> Iterable[Address]:
    """A page of which an export holds the beginning alone."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page. `name`: the first part of its path, empty for the overview. `title`: in the navigation bar; `listed`:
    whether it is there.

    `render(tables, address)` gives the whole page for a state; it is called at every change of the address, so a page
    restores itself from its URL alone. `connect(app, tables)` adds callbacks, once. A page is `exported` when it
    renders what `to_html` converts: panels, `dash.html`, `dcc.Graph`, `dcc.Link`; `states(tables, latents)` are those
    that a static export of some latents holds beside the page's beginning.
    """

    name: str
    title: str
    render: Callable[[RunTables, Address], Component]
    connect: Callable[[Dash, RunTables], None] = no_callbacks
    listed: bool = True
    exported: bool = True
    states: Callable[[RunTables, Sequence[int]], Iterable[Address]] = no_states

    @property
    def href(self) -> str:
        """Where it begins."""
        return Address(page=self.name).href


def not_found(what: str) -> Component:
    """A page that is not there."""
    return html.Div([html.H1("Not found"), html.P(what)], className="page notice-page", role="alert")
