"""What a panel is: a title, the tables it needs, and a function from them to a component tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from dash import html
from dash.development.base_component import Component

from msae_dashboards.address import Address
from msae_dashboards.tables import MissingTableError, RunTables

Render = Callable[[RunTables, Address], Component]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel of a page, in the app, in a static file and in a notebook.

    `about`: what it is of: the whole run, or the latent that the address names. `needs`: tables without which there is
    nothing to show. `render(tables, address)` gives `dash.html`, `dcc.Graph`, `dcc.Link` and `primitives` alone, and
    leaves the title to `show`; it has no callbacks and draws nothing at random. `hint`: what it shows, in a sentence.
    """

    name: str
    title: str
    about: Literal["run", "latent"]
    needs: tuple[str, ...]
    render: Render
    hint: str = ""


def show(panel: Panel, tables: RunTables, address: Address) -> Component:
    """The panel under its title; where a table is missing or half-written, what to run instead."""
    try:
        tables.require(*panel.needs)
        body = panel.render(tables, address)
    except MissingTableError as error:
        body = missing(error)
    heading = [html.H2(panel.title, title=panel.hint or None)] if panel.title else []
    return html.Section([*heading, body], className=f"panel {panel.name}", **{"aria-label": panel.title or panel.name})


def missing(error: MissingTableError) -> Component:
    """A table that is not there, and the command that makes it."""
    return html.Div(
        [
            html.P(f"The table “{error.name}” {error.why}. To make it, run"),
            html.Pre(error.command, className="command"),
        ],
        className="notice",
        role="note",
    )
