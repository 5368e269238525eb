"""Where the boxes of a treemap lie: nested rectangles whose areas are as their sizes (squarified: Bruls, Huizing, van
Wijk, 2000), each with a strip above its inner boxes for its own name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

HEAD, GAP = 19.0, 2.0
ROOM = (44.0, HEAD + 16.0)
"""Width and height below which a box does not show what is inside it."""


@dataclass(frozen=True)
class Rectangle:
    """In pixels from the top left."""

    x: float
    y: float
    width: float
    height: float

    def inside(self) -> Rectangle:
        """What is left below the strip with its name."""
        return Rectangle(
            self.x + GAP, self.y + HEAD, max(self.width - 2 * GAP, 0.0), max(self.height - HEAD - GAP, 0.0)
        )


@dataclass(frozen=True)
class Placed(Generic[T]):
    """Where an item lies; `open`: with others inside it."""

    item: T
    where: Rectangle
    open: bool


def nested(
    items: Sequence[T], inner: Mapping[T, Sequence[T]], sizes: Mapping[T, float], where: Rectangle
) -> list[Placed[T]]:
    """Boxes for `items` side by side, each followed by those of `inner` inside it where there is room. Sizes > 0."""
    boxes: list[Placed[T]] = []
    for item, place in zip(items, squarified([sizes[item] for item in items], where), strict=True):
        within = inner.get(item, ())
        roomy = bool(within) and place.width >= ROOM[0] and place.height >= ROOM[1]
        boxes.append(Placed(item, place, roomy))
        if roomy:
            boxes += nested(within, inner, sizes, place.inside())
    return boxes


def squarified(sizes: Sequence[float], where: Rectangle) -> list[Rectangle]:
    """Rectangles of these relative areas that fill `where`, as near to squares as going through them in the order
    of their sizes makes them; they come in the order given."""
    order = sorted(range(len(sizes)), key=lambda place: -sizes[place])
    scale = where.width * where.height / sum(sizes) if sizes else 0.0
    areas = [sizes[place] * scale for place in order]
    found: list[Rectangle] = []
    rest, first = where, 0
    while first < len(areas):
        side = min(rest.width, rest.height)
        stop = first + 1
        while stop < len(areas) and _worst(areas[first : stop + 1], side) <= _worst(areas[first:stop], side):
            stop += 1
        row, rest = _laid(areas[first:stop], rest)
        found += row
        first = stop
    return [found[place] for place in sorted(range(len(order)), key=lambda place: order[place])]


def _worst(areas: Sequence[float], side: float) -> float:
    """The worst ratio of sides in a row of `areas` along `side`."""
    thickness = sum(areas) / side if side else 0.0
    if not thickness:
        return float("inf")
    return max(max(thickness**2 / area, area / thickness**2) for area in areas)


def _laid(areas: Sequence[float], where: Rectangle) -> tuple[list[Rectangle], Rectangle]:
    """A row along the shorter side of `where`, and what is left of it."""
    total = sum(areas)
    upright = where.width >= where.height
    thickness = total / (where.height if upright else where.width) if total else 0.0
    row, at = [], 0.0
    for area in areas:
        length = area / thickness if thickness else 0.0
        if upright:
            row.append(Rectangle(where.x, where.y + at, thickness, length))
        else:
            row.append(Rectangle(where.x + at, where.y, length, thickness))
        at += length
    if upright:
        return row, Rectangle(where.x + thickness, where.y, max(where.width - thickness, 0.0), where.height)
    return row, Rectangle(where.x, where.y + thickness, where.width, max(where.height - thickness, 0.0))
