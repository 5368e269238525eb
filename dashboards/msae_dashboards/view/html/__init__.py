"""The only writer of HTML: nodes in, escaped HTML out. The app, the export and notebooks all render through it."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from msae_dashboards.view.html import around, drawn, nest, tables, text
from msae_dashboards.view.html.document import Frame, cell, document, framed, packed_sections, script
from msae_dashboards.view.html.element import UnwritableError, script_json
from msae_dashboards.view.html.writer import Href, Writer, Writes, same
from msae_dashboards.view.nodes import Content

WRITERS: Mapping[type, Writes] = {**text.WRITERS, **tables.WRITERS, **drawn.WRITERS, **nest.WRITERS, **around.WRITERS}
"""How each class of node is written."""


def writer(href: Href = same) -> Writer:
    """A writer whose links lead where `href` says."""
    return Writer(WRITERS, href)


def write(content: Content, href: Href = same) -> Markup:
    """The HTML of nodes."""
    return writer(href)(content)


__all__ = [
    "WRITERS",
    "Frame",
    "Href",
    "UnwritableError",
    "cell",
    "document",
    "framed",
    "packed_sections",
    "script",
    "script_json",
    "write",
    "writer",
]
