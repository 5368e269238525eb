"""Histograms by hand: heights, places, what each bar says; and the marks along an axis."""

from __future__ import annotations

import re

import pytest

from msae_dashboards.view.figures import short
from msae_dashboards.view.html import write
from msae_dashboards.view.html.drawn import LEAST
from msae_dashboards.view.nodes import Histogram
from msae_dashboards.view.ticks import ticks


def bars(page: str) -> list[tuple[str, float, str]]:
    found = re.findall(r'<i( class="below")? style="--h:([\d.]+)" data-label="([^"]*)"></i>', page)
    return [(below, float(height), said) for below, height, said in found]


def marks(page: str, kind: str) -> list[tuple[float, str]]:
    found = re.findall(rf'<span class="{kind}" style="--at:([-\d.]+)"(?: data-label="([^"]*)")?>', page)
    return [(float(place), said) for place, said in found]


def test_bars_are_in_proportion_and_say_their_bin_and_count() -> None:
    page = write(Histogram([0, 2000, 1000, 1], 0.0, 8.0, "activations", "3,001 <activations>"))
    assert bars(page) == [
        ("", 0.0, "1 ± 1: 0 activations"),
        ("", 100.0, "3 ± 1: 2,000 activations"),
        ("", 50.0, "5 ± 1: 1,000 activations"),
        ("", LEAST, "7 ± 1: 1 activations"),
    ]
    assert marks(page, "y") == [(0.0, "0"), (25.0, "500"), (50.0, "1k"), (75.0, "1.5k"), (100.0, "2k")]
    assert marks(page, "x") == [(0.0, "0"), (25.0, "2"), (50.0, "4"), (75.0, "6"), (100.0, "8")]
    assert marks(page, "zero") == [] and 'role="img" aria-label="3,001 &lt;activations&gt;"' in page


def test_signed_bars_below_zero_differ_and_zero_is_marked() -> None:
    page = write(Histogram([1, 1, 1, 1], -1.0, 3.0, "tokens", "", signed=True))
    assert [bool(below) for below, _, _ in bars(page)] == [True, False, False, False]
    assert marks(page, "zero") == [(25.0, "")]
    assert marks(write(Histogram([1], 1.0, 3.0, "tokens", "", signed=True)), "zero") == []


@pytest.mark.parametrize(("counts", "low", "high"), [([], 0.0, 1.0), ([0, 0], 0.0, 1.0), ([5], 2.0, 2.0)])
def test_what_has_no_extent_is_drawn_all_the_same(counts, low, high) -> None:
    assert len(bars(write(Histogram(counts, low, high, "tokens", "")))) == len(counts)


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0.0, 3.2, 5, [0, 1, 2, 3]),
        (-1.3, 2.9, 5, [-1, 0, 1, 2]),
        (0.0, 0.07, 5, [0, 0.02, 0.04, 0.06]),
        (0.0, 123_456.0, 3, [0, 50_000, 100_000]),
        (2.0, 2.0, 3, [2]),
    ],
)
def test_ticks_are_round_and_few(low, high, most, expected) -> None:
    assert ticks(low, high, most) == pytest.approx(expected)


def test_counts_are_short() -> None:
    assert [short(count) for count in (0.0, 850.0, 1500.0, 2e4, 3e6, 2e9)] == ["0", "850", "1.5k", "20k", "3M", "2G"]
