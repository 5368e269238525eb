"""Ways through a page's states: to what comes before and after, and the levels it is kept to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dash import dcc, html
from dash.development.base_component import Component

from msae_dashboards.primitives import Content, level_chip


def way(label: str, name: str, href: str | None) -> Component:
    """A way to what is beside, or a dead end. The arrow keys follow those named ``previous`` and ``next``."""
    if href is None:
        return html.Span(label, className="way off", **{"aria-disabled": "true"})
    return dcc.Link(label, href=href, className=f"way {name}")


def beside(before: str | None, after: str | None) -> list[Component]:
    """The ways to the addresses before and after."""
    return [way("← previous", "previous", before), way("next →", "next", after)]


def steps(choices: Sequence[tuple[Content, str, bool]], *, label: str) -> Component:
    """States to choose from: (what is shown, its address, whether it is this one)."""
    links = [
        html.Span(shown, className="step on", **{"aria-current": "true"})
        if here
        else dcc.Link(shown, href=href, className="step")
        for shown, href, here in choices
    ]
    return html.Nav(links, className="steps", **{"aria-label": label})


def level_steps(levels: Sequence[int], kept: int | None, href: Callable[[str], str], *, label: str) -> Component:
    """All levels, or one of them: `href` gives the address for the text of a level, or for none."""
    choices: list[tuple[Content, str, bool]] = [("all levels", href(""), kept is None)]
    choices += [(level_chip(level), href(str(level)), level == kept) for level in levels]
    return steps(choices, label=label)
