"""`Markup`: an element whose inside is HTML that is already written, of a panel or of the app.

Whoever makes one has escaped every text in it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from dash.development.base_component import Component

from msae_dashboards.token_strip import NAMESPACE


class Markup(Component):
    """An element: its `tag`, `attributes`, and what is inside it as `html`."""

    _children_props: ClassVar[list[str]] = []
    _base_nodes: ClassVar[list[str]] = ["children"]
    _namespace = NAMESPACE
    _type = "Markup"

    def __init__(
        self,
        tag: str | None = None,
        attributes: dict[str, Any] | None = None,
        html: str | None = None,
        id: str | None = None,
    ) -> None:
        self._prop_names = ["id", "tag", "attributes", "html"]
        self._valid_wildcard_attributes: list[str] = []
        self.available_properties = self._prop_names
        self.available_wildcard_properties: list[str] = []
        given = {"tag": tag, "attributes": attributes, "html": html, "id": id}
        super().__init__(**{name: value for name, value in given.items() if value is not None})
