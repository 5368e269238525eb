"""What panels are built of beside `dash.html`: token strips, chips, small tables, figures. All converts to HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from dash import dcc, html
from dash.development.base_component import Component

from msae_dashboards.address import feature_href
from msae_dashboards.token_strip import token_strip
from msae_dashboards.visible import quoted

if TYPE_CHECKING:
    import plotly.graph_objects as go

Content: TypeAlias = "str | Component | Sequence[Any] | None"
N_LEVEL_COLOURS = 7


def level_chip(level: int) -> Component:
    """A level's chip: its number, and a colour that says the same."""
    return html.Span(
        f"L{level}",
        className=f"chip level-{level % N_LEVEL_COLOURS}",
        title=f"level {level}",
        **{"aria-label": f"level {level}"},
    )


def level_link(level: int, href: str) -> Component:
    """A level's chip to click."""
    return dcc.Link(level_chip(level), href=href, className="chip-link", title=f"all latents of level {level}")


def token_chip(text: str, title: str = "") -> Component:
    """One token, in a list of tokens."""
    return html.Code(quoted(text), className="token", title=title or None)


def feature_link(latent: int, level: int | None = None, tokens: Sequence[str] = ()) -> Component:
    """A latent to click: its number, its level's chip, the tokens it fires on most."""
    link = dcc.Link(f"{latent}", href=feature_href(latent), className="latent")
    chip = [] if level is None else [level_chip(level)]
    shown = [token_chip(token) for token in tokens[:3]]
    return html.Span([link, *chip, html.Span(shown, className="tokens")], className="feature-link")


def small_table(head: Sequence[Content], rows: Sequence[Sequence[Content]], *, caption: str) -> Component:
    """A table; columns after the first are numbers and stand right. `caption` is for those who cannot see it."""
    body = [html.Tr([html.Td(cell) for cell in row]) for row in rows]
    headings = html.Thead(html.Tr([html.Th(cell, scope="col") for cell in head]))
    return html.Table([html.Caption(caption, className="hidden"), headings, html.Tbody(body)], className="small-table")


def figure(drawn: go.Figure, *, label: str, height: int) -> Component:
    """A plotly figure. `label` says in words what it shows."""
    config = {"displayModeBar": False, "displaylogo": False, "responsive": True}
    graph = dcc.Graph(figure=drawn, config=config, style={"height": f"{height}px"})
    return html.Div(graph, role="img", className="figure", **{"aria-label": label})


def share(value: float, digits: int = 3) -> str:
    """A share as a percentage that is never rounded to 0: ``0.0002%``."""
    if not math.isfinite(value):
        return "n/a"
    percent = 100 * value
    if 0 < percent < 10**-digits:
        return f"{percent:.1g}%"
    return f"{percent:.{digits}f}%"


def number(value: int | float | None, digits: int = 3) -> str:
    """A figure in a fixed number of places; n/a where there is none."""
    return "n/a" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


__all__ = [
    "feature_link",
    "figure",
    "level_chip",
    "level_link",
    "number",
    "share",
    "small_table",
    "token_chip",
    "token_strip",
]
