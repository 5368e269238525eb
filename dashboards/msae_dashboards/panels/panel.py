"""What a panel is: a title, the tables it needs, and a function from them to a component tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

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
    return titled(panel.title, body, name=panel.name, hint=panel.hint, label=panel.title or panel.name)


def titled(title: Any, *body: Component, name: str, hint: str = "", label: str | None = None) -> Component:
    """What a panel is shown as: a box with a heading. `label` is for those who cannot see it, by default the title."""
    heading = [html.H2(title, title=hint or None)] if title else []
    called = label or (title if isinstance(title, str) else name)
    return html.Section([*heading, *body], className=f"panel {name}", **{"aria-label": called})


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
