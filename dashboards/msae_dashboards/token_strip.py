"""`TokenStrip`: a passage of tokens, coloured by activation. One component for a whole passage, since a page shows a
thousand tokens: `assets/token_strip.js` lays it out in the app, `strip_html` in a static page, both from its props."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any, ClassVar

from dash.development.base_component import Component

from msae_dashboards.visible import visible

NAMESPACE = "msae_dashboards"
NEAR, MIDDLE = 5, 16


class TokenStrip(Component):
    """`texts`, `ids`: of each token. `marks`: of those that fire [place, activation, opacity on the linear scale, on
    the logarithmic one]. `position`: of the token it is about. `largest`: the activation that shades are relative to.
    Which scale and how many tokens show is the style sheet's affair."""

    _children_props: ClassVar[list[str]] = []
    _base_nodes: ClassVar[list[str]] = ["children"]
    _namespace = NAMESPACE
    _type = "TokenStrip"

    def __init__(
        self,
        texts: Sequence[str] | None = None,
        ids: Sequence[int] | None = None,
        marks: Sequence[Sequence[Any]] | None = None,
        position: int | None = None,
        largest: str | None = None,
        id: str | None = None,
    ) -> None:
        self._prop_names = ["id", "texts", "ids", "marks", "position", "largest"]
        self._valid_wildcard_attributes: list[str] = []
        self.available_properties = self._prop_names
        self.available_wildcard_properties: list[str] = []
        given = {"texts": texts, "ids": ids, "marks": marks, "position": position, "largest": largest, "id": id}
        super().__init__(**{name: value for name, value in given.items() if value is not None})


def token_strip(
    tokens: Sequence[str | None],
    ids: Sequence[int],
    values: Sequence[float],
    *,
    position: int,
    largest: float,
    line_breaks: bool = False,
) -> Component:
    """Tokens in a row, coloured by activation / `largest`, the one at `position` bold; its id for one without text.
    With `line_breaks` a new line is also begun after its sign."""
    texts = [visible(f"⟨{number}⟩" if text is None else text) for text, number in zip(tokens, ids, strict=True)]
    if line_breaks:
        texts = [broken(text) for text in texts]
    top = _written(largest)
    marks = [_mark(place, _written(value), top) for place, value in enumerate(values) if value > 0]
    return TokenStrip(texts=texts, ids=list(ids), marks=marks, position=position, largest=top)


def broken(shown: str) -> str:
    """Visible text, with the lines that its signs for them end."""
    return shown.replace("↵", "↵\n")


def linear(ratio: float) -> float:
    """Opacity of the orange scale: linear in activation / max."""
    return min(max(ratio, 0.0), 1.0)


def logarithmic(ratio: float) -> float:
    """Opacity of the emerald scale: 0.05 + 0.95 log10(1 + 9 r), 0 where nothing fires."""
    return 0.05 + 0.95 * math.log10(1 + 9 * min(ratio, 1.0)) if ratio > 0 else 0.0


def strip_html(texts: Sequence[str], ids: Sequence[int], marks: Sequence[Sequence[Any]], position: int) -> str:
    """The strip as HTML, as `assets/token_strip.js` lays it out."""
    marked = {place: rest for place, *rest in marks}
    tokens = "".join(
        _token(text, number, place - position, marked.get(place))
        for place, (text, number) in enumerate(zip(texts, ids, strict=True))
    )
    return f'<div class="strip" dir="ltr">{tokens}</div>'


def _token(text: str, token_id: int, distance: int, mark: Sequence[Any] | None) -> str:
    reach = abs(distance)
    name = "here" if reach == 0 else "" if reach <= NEAR else "mid" if reach <= MIDDLE else "far"
    shown = f' class="{name}"' if name else ""
    fires = f' data-v="{html.escape(mark[0])}" style="--a:{mark[1]};--e:{mark[2]}"' if mark else ""
    return f"<i{shown} data-t={int(token_id)}{fires}>{html.escape(text)}</i>"


def _mark(place: int, value: str, largest: str) -> list[Any]:
    """From the figures as they are written, so that whoever reads them finds the same shades (`export/draw.js`)."""
    ratio = float(value) / float(largest) if float(largest) > 0 else 0.0
    return [place, value, round(linear(ratio), 2), round(logarithmic(ratio), 2)]


def _written(value: float) -> str:
    return f"{value:.4g}"
