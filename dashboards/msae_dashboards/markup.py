"""`Markup`: a whole tree of elements as one component of the app.

The app's renderer subscribes every component to its store, which makes a page of n components cost n². A panel is a
thousand elements and needs none of that: `packed` turns every part of a page that is plain elements, links and token
strips into one component, which `assets/markup.js` lays out. Panels do not know; static pages do without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from dash.development.base_component import Component

from msae_dashboards.token_strip import NAMESPACE

LINK, STRIP = "Link", "TokenStrip"
OF_THE_RENDERER = {"children", "n_clicks", "disable_n_clicks", "n_clicks_timestamp", "refresh", "loading_state"}
Node = list[Any]


class Markup(Component):
    """`tree`: an element as [tag, attributes, *children], a text, or a list of these without a tag."""

    _children_props: ClassVar[list[str]] = []
    _base_nodes: ClassVar[list[str]] = ["children"]
    _namespace = NAMESPACE
    _type = "Markup"

    def __init__(self, tree: Node | str | None = None, id: str | None = None) -> None:
        self._prop_names = ["id", "tree"]
        self._valid_wildcard_attributes: list[str] = []
        self.available_properties = self._prop_names
        self.available_wildcard_properties: list[str] = []
        given = {"tree": tree, "id": id}
        super().__init__(**{name: value for name, value in given.items() if value is not None})


def packed(tree: Any) -> Any:
    """The same page with its plain parts as `Markup`, each as large as can be. Components with an id stay, and those
    around them: callbacks may name them."""
    node = _node(tree)
    if isinstance(tree, Component):
        return _around(tree) if node is None else Markup(tree=node)
    if isinstance(tree, list | tuple):
        return [packed(part) for part in tree]
    return tree


def _around(component: Component) -> Component:
    children = getattr(component, "children", None)
    if children is not None and component._namespace == "dash_html_components":
        component.children = packed(children)
    return component


def _node(tree: Any) -> Node | str | None:
    """The plain form; None where some part has none."""
    if tree is None or isinstance(tree, bool):
        return ""
    if isinstance(tree, list | tuple):
        return _nodes("", {}, tree)
    if not isinstance(tree, Component):
        return str(tree)
    shape = tree.to_plotly_json()
    kind, props = (shape["namespace"], shape["type"]), shape["props"]
    if "id" in props:
        return None
    if kind == (NAMESPACE, STRIP):
        return [STRIP, props]
    if kind[0] == "dash_html_components":
        tag = kind[1].lower()
    elif kind == ("dash_core_components", LINK):
        tag = LINK
    else:
        return None
    kept = {name: value for name, value in props.items() if name not in OF_THE_RENDERER}
    return _nodes(tag, kept, props.get("children"))


def _nodes(tag: str, attributes: dict[str, Any], children: Any) -> Node | None:
    parts: Sequence[Any] = children if isinstance(children, list | tuple) else [] if children is None else [children]
    nodes = [_node(part) for part in parts]
    return None if None in nodes else [tag, attributes, *nodes]
