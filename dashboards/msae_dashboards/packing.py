"""`packed`: a page of the app as few components, of which `Markup` holds all that is plain.

The app's renderer subscribes every component to its store, which makes a page of n components cost n², and a browser
reads HTML far faster than a script makes elements. A panel is a thousand elements and needs no renderer: every part of
a page that is plain elements, links and token strips becomes one component with its HTML, the same that `to_html`
writes into static pages. Panels do not know.
"""

from __future__ import annotations

from typing import Any

from dash.development.base_component import Component

from msae_dashboards.markup import Markup
from msae_dashboards.to_html import given, to_html
from msae_dashboards.token_strip import NAMESPACE

HTML = "dash_html_components"
INSIDE = {("dash_core_components", "Link"), (NAMESPACE, "TokenStrip"), (NAMESPACE, "Markup")}
OF_THE_RENDERER = {"children", "n_clicks", "disable_n_clicks", "n_clicks_timestamp"}


def packed(tree: Any) -> Any:
    """The same page with its plain elements as `Markup`, each as large as can be. Components with an id stay, and those
    around them: callbacks may name them."""
    if isinstance(tree, list | tuple):
        return [packed(part) for part in tree]
    if not isinstance(tree, Component) or tree._namespace != HTML:
        return tree
    if plain(tree):
        props = given(tree)
        attributes = {name: value for name, value in props.items() if name not in OF_THE_RENDERER}
        return Markup(tag=tree._type.lower(), attributes=attributes, html=to_html(props.get("children")))
    if (children := getattr(tree, "children", None)) is not None:
        tree.children = packed(children)
    return tree


def plain(tree: Any) -> bool:
    """Whether a tree is elements without ids, links, token strips and texts alone."""
    if isinstance(tree, list | tuple):
        return all(map(plain, tree))
    if not isinstance(tree, Component):
        return True
    if hasattr(tree, "id") or not (tree._namespace == HTML or (tree._namespace, tree._type) in INSIDE):
        return False
    return plain(getattr(tree, "children", None))
