"""Boxes of a treemap: areas as the sizes are, nothing overlaps, everything is inside."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msae_dashboards.view.treemap import HEAD, Rectangle, nested, squarified

WHERE = Rectangle(10.0, 20.0, 600.0, 300.0)


def area(box: Rectangle) -> float:
    return box.width * box.height


def overlap(a: Rectangle, b: Rectangle) -> float:
    wide = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    high = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return max(wide, 0) * max(high, 0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.5, 100), min_size=1, max_size=30))
def test_boxes_fill_the_rectangle_in_proportion_and_in_the_order_given(sizes):
    boxes = squarified(sizes, WHERE)
    total = area(WHERE) / sum(sizes)
    assert [area(box) for box in boxes] == pytest.approx([size * total for size in sizes], rel=1e-6)
    for place, box in enumerate(boxes):
        assert box.x >= WHERE.x - 1e-6 and box.x + box.width <= WHERE.x + WHERE.width + 1e-6
        assert box.y >= WHERE.y - 1e-6 and box.y + box.height <= WHERE.y + WHERE.height + 1e-6
        assert all(overlap(box, other) < 1e-6 * area(WHERE) for other in boxes[place + 1 :])


def test_the_published_example():
    """Bruls, Huizing and van Wijk: 6, 6, 4, 3, 2, 2, 1 in a rectangle of 6 by 4 begin with two of 3 by 2."""
    boxes = squarified([6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0], Rectangle(0.0, 0.0, 6.0, 4.0))
    assert [(box.width, box.height) for box in boxes[:2]] == [(3, 2), (3, 2)]
    assert max(max(box.width / box.height, box.height / box.width) for box in boxes) < 2.8


def test_inner_boxes_lie_below_the_name_of_the_outer_and_small_ones_stay_shut():
    sizes = {0: 3.0, 1: 1.0, 2: 1.0, 3: 1.0}
    boxes = nested([0], {0: [1, 2], 1: [3]}, sizes, Rectangle(0.0, 0.0, 80.0, 60.0))
    assert [(box.item, box.open) for box in boxes] == [(0, True), (1, False), (2, False)]
    assert all(box.where.y >= HEAD for box in boxes[1:])
    assert sum(area(box.where) for box in boxes[1:]) < area(boxes[0].where)


def test_nothing_gives_nothing():
    assert squarified([], WHERE) == [] and nested([], {}, {}, WHERE) == []
