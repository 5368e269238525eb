"""A panel's component tree as static HTML: the same tree the app shows, without React, Dash or a server.

Everything that is text is escaped. `dcc.Graph` becomes ``<div class="plot">`` with its figure in a
``<script type="application/json">`` inside, for the page's script to draw with the plotly.js that all pages share.
`dcc.Link` becomes ``<a>`` with the address that `link` gives for it.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dash.development.base_component import Component
from plotly.utils import PlotlyJSONEncoder

from msae.core.errors import MsaeError
from msae_dashboards.token_strip import NAMESPACE, strip_html

Link = Callable[[str], str | None]
Compact = Callable[[Component, Link], str | None]

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
RENAMED = {"className": "class", "htmlFor": "for", "tabIndex": "tabindex", "colSpan": "colspan", "rowSpan": "rowspan"}
IGNORED = {"children", "id", "style", "n_clicks", "disable_n_clicks", "key", "figure", "config", "refresh", "href"}
OF_ITSELF = {"available_properties", "available_wildcard_properties"}
UNSAFE_TAGS = {"script", "iframe", "object", "embed", "base", "meta", "link"}
_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_-]*$")


class ConversionError(MsaeError):
    """A component has no static form."""


def to_html(tree: Any, link: Link = lambda href: href, compact: Compact = lambda component, link: None) -> str:
    """The HTML of a tree of `dash.html` components, `dcc.Graph`, `dcc.Link`, texts, numbers and lists of these.

    `link` gives the address for an app's own address, or None when that page is not exported: then its text alone is
    left. `compact` may give a component's HTML in a form of its own, or None for the usual one. Raises
    `ConversionError` for any other component (those exist in the app alone).
    """
    return "".join(_pieces(tree, link, compact))


def embedded(value: Any) -> str:
    """`value` as JSON that can stand inside a ``<script>``, which no text in it can end."""
    content = json.dumps(value, cls=PlotlyJSONEncoder, separators=(",", ":"))
    # Only "</script" and "<!--" could end it: no "<" is left.
    return content.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def embedded_json(value: Any) -> str:
    """A ``<script type="application/json">`` that holds `value`."""
    return f'<script type="application/json">{embedded(value)}</script>'


def given(component: Component) -> dict[str, Any]:
    """The props a component was given, by name: it holds them in an order that changes from process to process. Its
    own `to_plotly_json` looks for each that it could have been given, most of the time that a page of thousands takes.
    """
    held = vars(component)
    return {name: held[name] for name in sorted(held) if name[0] != "_" and name not in OF_ITSELF}


def _pieces(tree: Any, link: Link, compact: Compact) -> Iterable[str]:
    if tree is None or isinstance(tree, bool):
        return
    if isinstance(tree, list | tuple):
        for part in tree:
            yield from _pieces(part, link, compact)
    elif isinstance(tree, Component):
        short = compact(tree, link)
        yield from _component(tree, link, compact) if short is None else (short,)
    else:
        yield html.escape(str(tree))


def _component(component: Component, link: Link, compact: Compact) -> Iterable[str]:
    namespace, kind, props = component._namespace, component._type, given(component)
    if namespace == "dash_html_components":
        yield from _element(kind.lower(), props, link, compact)
    elif (namespace, kind) == ("dash_core_components", "Link"):
        address = link(props["href"])
        yield from _element("span" if address is None else "a", {**props, "href": address}, link, compact)
    elif (namespace, kind) == ("dash_core_components", "Graph"):
        yield from _graph(props)
    elif (namespace, kind) == (NAMESPACE, "TokenStrip"):
        yield strip_html(props["texts"], props["ids"], props["marks"], props["position"])
    elif (namespace, kind) == (NAMESPACE, "Markup"):
        yield f"<{props['tag']}{_attributes(props['attributes'])}>{props['html']}</{props['tag']}>"
    else:
        raise ConversionError(f"{namespace}.{kind} has no static form: panels use dash.html, dcc.Graph and dcc.Link")


def _element(tag: str, props: Mapping[str, Any], link: Link, compact: Compact) -> Iterable[str]:
    if tag in UNSAFE_TAGS or not _NAME.match(tag):
        raise ConversionError(f"<{tag}> is not written into a static page")
    yield f"<{tag}{_attributes(props)}>"
    if tag not in VOID:
        yield from _pieces(props.get("children"), link, compact)
        yield f"</{tag}>"


def _attributes(props: Mapping[str, Any]) -> str:
    out = []
    if (href := props.get("href")) is not None:
        if href.lower().lstrip().startswith(("javascript:", "data:", "vbscript:")):
            raise ConversionError(f"{href!r} is no address to link to")
        out.append(f' href="{html.escape(href)}"')
    if isinstance(props.get("id"), str):
        out.append(f' id="{html.escape(props["id"])}"')
    for name, value in props.items():
        if name in IGNORED or value is None or value is False:
            continue
        if not _NAME.match(name) or name.lower().startswith("on"):
            raise ConversionError(f"{name!r} is no attribute of a static page")
        name = RENAMED.get(name, name)
        if value is True:
            out.append(f' {name}="true"' if name.startswith("aria-") else f" {name}")
        else:
            out.append(f' {name}="{html.escape(str(value))}"')
    if style := props.get("style"):
        out.append(f' style="{html.escape(_style(style))}"')
    return "".join(out)


def _style(style: Mapping[str, Any]) -> str:
    def name(key: str) -> str:
        return key if key.startswith("--") else re.sub(r"[A-Z]", lambda match: "-" + match[0].lower(), key)

    return ";".join(f"{name(key)}:{value}" for key, value in style.items())


def _graph(props: Mapping[str, Any]) -> Iterable[str]:
    content = {"figure": props["figure"], "config": props.get("config") or {}}
    style = f' style="{html.escape(_style(props["style"]))}"' if props.get("style") else ""
    yield f'<div class="plot"{style}>{embedded_json(content)}</div>'
