"""A small histogram of plain elements: a page with these alone needs no plotting library and is drawn as it is read."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from dash.development.base_component import Component

from msae_dashboards.markup import Markup

STEPS = (1.0, 2.0, 5.0, 10.0)
LEAST = 0.8
"""Of the tallest bar's height, in percent: what a bin with anything in it has at least."""


def histogram(
    counts: Sequence[int], low: float, high: float, *, what: str, label: str, signed: bool = False
) -> Component:
    """Bars over [`low`, `high`], equally wide; hovering one says how many of `what` it has. `label` says in words what
    is seen. `signed`: bars below zero have a colour of their own, and zero is marked."""
    what = html.escape(what)
    tallest, width = max(max(counts, default=0), 1), (high - low) / max(len(counts), 1)
    middles = [low + width * (place + 0.5) for place in range(len(counts))]
    bars = "".join(
        f'<i{_kind(signed and middle < 0)} style="--h:{_height(count, tallest):.3g}" '
        f'data-said="{middle:.3g} ± {width / 2:.2g}: {count:,} {what}"></i>'
        for middle, count in zip(middles, counts, strict=True)
    )
    marks = [_mark("y", 100 * y / tallest, short(y)) for y in ticks(0.0, float(tallest), 4) if y.is_integer()]
    marks += [_mark("x", _place(x, low, high), f"{x:.6g}") for x in ticks(low, high, 5)]
    marks += [_mark("zero", _place(0.0, low, high))] if signed and low < 0 < high else []
    attributes = {"className": "histogram", "role": "img", "aria-label": label}
    return Markup(tag="div", attributes=attributes, html=f'{"".join(marks)}<div class="bars">{bars}</div>')


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` + 1 round numbers in [`low`, `high`]: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [float(low)]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(step for step in STEPS if step * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def short(count: float) -> str:
    """A count in a few characters: 850, 1.5k, 20k, 3M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.4g}{letter}"
    return f"{count:.4g}"


def _mark(kind: str, place: float, said: str = "") -> str:
    return f'<span class="{kind}" style="--at:{place:.4g}" data-said="{said}"></span>'


def _kind(below: bool) -> str:
    return ' class="below"' if below else ""


def _height(count: int, tallest: int) -> float:
    return max(100 * count / tallest, LEAST) if count else 0.0


def _place(x: float, low: float, high: float) -> float:
    return 100 * (x - low) / (high - low) if high > low else 0.0
