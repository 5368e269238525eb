"""`Writer`: nodes as HTML, in the app, in files and in notebooks alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from markupsafe import Markup, escape

from msae_dashboards.view.html.element import UnwritableError, joined
from msae_dashboards.view.nodes import Content

Href: TypeAlias = Callable[[str], "str | None"]
"""The reference for an address of the app; None where that address is not to be had."""
Writes: TypeAlias = "Callable[[Any, Writer], Markup]"


def same(address: str) -> str:
    """Every address as it is."""
    return address


class Writer:
    """Writes nodes, each as `writers` says for its class. `href` gives the references of links.

    `figures`: how many plotly figures were written, which need a script to be drawn.
    """

    def __init__(self, writers: Mapping[type, Writes], href: Href) -> None:
        self._writers, self.href, self.figures = writers, href, 0

    def __call__(self, content: Content) -> Markup:
        """The HTML. `UnwritableError` for what is no node."""
        if content is None:
            return Markup("")
        if isinstance(content, str | int) and not isinstance(content, bool):
            return escape(content)
        if isinstance(content, list | tuple):
            return joined(self(part) for part in content)
        write = self._writers.get(type(content))
        if write is None:
            raise UnwritableError(f"{type(content).__name__} is no part of a page: there is no writer for it")
        return write(content, self)
