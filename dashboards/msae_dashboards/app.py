"""The Dash application of one run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, html
from dash.development.base_component import Component
from dash.exceptions import DependencyException

from msae.core.errors import MsaeError
from msae_dashboards import shell
from msae_dashboards.address import Address
from msae_dashboards.packing import packed
from msae_dashboards.pages import PAGES, Page
from msae_dashboards.pages.page import not_found
from msae_dashboards.panels.panel import missing
from msae_dashboards.tables import MissingTableError, RunTables

log = logging.getLogger(__name__)

POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
    ]
)
"""Sent with every answer: the browser itself refuses a request to another machine."""


@cache
def _follow_color_scheme() -> None:
    """Have every page drawn light or dark from the start. Once a process: each time adds a script to all its apps."""
    dmc.pre_render_color_scheme()


def create_app(
    run: str | Path, pages: Sequence[Page] = PAGES, *, model: str | None = None, framing: str = "'self'"
) -> Dash:
    """The application; serve it with `msae_dashboards.server`. `model`: where the run's language model is, if it has
    moved. `framing`: whose pages may show it in a frame (sources of the policy's ``frame-ancestors``).
    `CheckpointError` when there is no run at `run`."""
    tables = RunTables(run, model=model)
    app = Dash(
        __name__,
        title=f"{tables.title} · msae",
        update_title=None,
        serve_locally=True,
        suppress_callback_exceptions=True,
        add_log_handler=False,
    )
    _follow_color_scheme()
    app.layout = shell.layout(tables.title, pages)
    by_name = {page.name: page for page in pages}

    @app.callback(Output(shell.PAGE, "children"), Input(shell.URL, "pathname"), Input(shell.URL, "search"))
    def show_page(pathname: str | None, search: str | None) -> Component:
        return packed(render(by_name.get, tables, pathname, search))

    app.clientside_callback(
        ClientsideFunction("msae", "toggle"),
        Output(shell.HELP, "opened"),
        Input(shell.HELP_BUTTON, "n_clicks"),
        State(shell.HELP, "opened"),
        prevent_initial_call=True,
    )
    for page in pages:
        page.connect(app, tables)

    @app.server.errorhandler(DependencyException)
    def no_such_script(_error):  # type: ignore[no-untyped-def]
        return "There is no such file.", 404

    @app.server.after_request
    def local_only(response):  # type: ignore[no-untyped-def]
        response.headers["Content-Security-Policy"] = f"{POLICY}; frame-ancestors {framing}"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return app


def render(page_named, tables: RunTables, pathname: str | None, search: str | None) -> Component:  # type: ignore[no-untyped-def]
    """The page at an address. Whatever goes wrong there is said there; the others go on working."""
    address = Address.parse(pathname, search)
    page = page_named(address.page) if address is not None else None
    if address is None or page is None:
        return not_found("There is no page at this address.")
    try:
        return page.render(tables, address)
    except MissingTableError as error:
        return html.Div([html.H1(page.title), missing(error)], className="page")
    except MsaeError as error:
        return html.Div([html.H1(page.title), html.P(str(error), role="alert")], className="page notice-page")
    except Exception:
        log.exception("the page %s failed", address.href)
        return html.Div(
            [html.H1(page.title), html.P("This page failed; the terminal says why.", role="alert")],
            className="page notice-page",
        )
