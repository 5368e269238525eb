"""What panels are built of beside `dash.html`: token strips, chips, small tables, figures. All converts to HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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


def feature_link(
    latent: int, level: int | None = None, tokens: Sequence[str] = (), *, href: str | None = None
) -> Component:
    """A latent to click: its number, its level's chip, the tokens it fires on most. `href`: to elsewhere than its
    page."""
    link = dcc.Link(f"{latent}", href=href or feature_href(latent), className="latent")
    chip = [] if level is None else [level_chip(level)]
    shown = [token_chip(token) for token in tokens[:3]]
    return html.Span(
        [link, *chip, html.Span(shown, className="tokens")], className="feature-link", **{"data-latent": str(latent)}
    )


@dataclass(frozen=True)
class FeatureLink:
    """What a `feature_link` is of. `href` is None when it leads to the latent's page; tokens are as shown."""

    latent: int
    level: int | None
    tokens: tuple[str, ...]
    href: str | None

    @classmethod
    def of(cls, component: Component) -> FeatureLink | None:
        """None for any other component."""
        if getattr(component, "className", None) != "feature-link":
            return None
        link, *chip, tokens = component.children
        latent = int(getattr(component, "data-latent"))
        level = int(chip[0].children.removeprefix("L")) if chip else None
        href = None if link.href == feature_href(latent) else link.href
        return cls(latent, level, tuple(token.children for token in tokens.children), href)


def small_table(head: Sequence[Content], rows: Sequence[Sequence[Content]], *, caption: str) -> Component:
    """A table; columns after the first are numbers and stand right. `caption` is for those who cannot see it."""
    body = [html.Tr([html.Td(cell) for cell in row]) for row in rows]
    headings = html.Thead(html.Tr([html.Th(cell, scope="col") for cell in head]))
    return html.Table([html.Caption(caption, className="hidden"), headings, html.Tbody(body)], className="small-table")


def meter(value: float | None, text: str, title: str = "") -> Component:
    """A figure between 0 and 1 with a bar as long."""
    filled = min(max(value, 0.0), 1.0) if value is not None and math.isfinite(value) else 0.0
    return html.Span(text, className="meter", style={"--v": round(filled, 3)}, title=title or None)


def figures(values: Sequence[tuple[str, Content, str]]) -> Component:
    """Headline figures: (name, figure, what it means)."""
    cells = [html.Div([html.Dt(name, title=meaning or None), html.Dd(value)]) for name, value, meaning in values]
    return html.Dl(cells, className="figures")


def figure(drawn: go.Figure, *, label: str, height: int) -> Component:
    """A plotly figure. `label` says in words what it shows."""
    config = {"displayModeBar": False, "displaylogo": False, "responsive": True}
    graph = dcc.Graph(figure=drawn, config=config, style={"height": f"{height}px"})
    place = {"minHeight": f"{height}px"}  # what stands below does not jump when the figure comes
    return html.Div(graph, role="img", className="figure", style=place, **{"aria-label": label})


def share(value: float | None, digits: int = 3) -> str:
    """A share as a percentage that is never rounded to 0: ``0.0002%``."""
    if value is None or not math.isfinite(value):
        return "n/a"
    percent = 100 * value
    if 0 < percent < 10**-digits:
        return f"{percent:.1g}%"
    return f"{percent:.{digits}f}%"


def number(value: int | float | None, digits: int = 3) -> str:
    """A figure in a fixed number of places; n/a where there is none."""
    return "n/a" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


__all__ = [
    "FeatureLink",
    "feature_link",
    "figure",
    "figures",
    "level_chip",
    "level_link",
    "meter",
    "number",
    "share",
    "small_table",
    "token_chip",
    "token_strip",
]
