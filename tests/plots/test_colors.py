"""The colours of levels: any number of them, each its own."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from msae.plots.colors import NAMED, level_color


def parts(color: str) -> tuple[int, ...]:
    return tuple(int(color[at : at + 2], 16) for at in (1, 3, 5))


def test_the_first_levels_have_the_named_colours() -> None:
    assert tuple(map(level_color, range(len(NAMED)))) == NAMED


def test_sixteen_levels_are_told_apart() -> None:
    colors = [level_color(level) for level in range(16)]
    assert all(re.fullmatch("#[0-9A-F]{6}", color) for color in colors)
    nearest = min(sum((a - b) ** 2 for a, b in zip(parts(one), parts(two), strict=True)) ** 0.5
                  for one, two in combinations(colors, 2))  # fmt: skip
    assert nearest > 20


def test_a_hundred_levels_are_a_hundred_colours() -> None:
    assert len({level_color(level) for level in range(100)}) == 100


def luminance(color: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (p / 255 for p in parts(color))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("level", range(32))
def test_every_colour_shows_on_white_and_on_black(level: int) -> None:
    """A contrast of 1.9 at least: a dot or a line of it is seen in light and in dark."""
    value = luminance(level_color(level))
    assert 1.05 / (value + 0.05) > 1.9 and (value + 0.05) / 0.05 > 1.9
