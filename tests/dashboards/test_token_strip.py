"""The two colour scales, and the strip as HTML."""

from __future__ import annotations

import pytest

from msae_dashboards.to_html import to_html
from msae_dashboards.token_strip import linear, logarithmic, token_strip


def test_the_scales_by_hand() -> None:
    assert [linear(r) for r in (-0.1, 0.0, 0.25, 1.0, 1.5)] == [0.0, 0.0, 0.25, 1.0, 1.0]
    assert logarithmic(0.0) == 0.0 and logarithmic(1.0) == pytest.approx(1.0)
    assert logarithmic(1 / 9) == pytest.approx(0.05 + 0.95 * 0.30103, abs=1e-5)


def test_a_strip_by_hand() -> None:
    strip = token_strip(["<b>", None, "\n"], [7, 8, 9], [0.0, 2.0, 4.0], position=1, largest=4.0)
    assert to_html(strip) == (
        '<div class="strip" dir="ltr"><i data-t=7>&lt;b&gt;</i>'
        '<i class="here" data-t=8 data-v="2" style="--a:0.5;--e:0.75">⟨8⟩</i>'
        '<i data-t=9 data-v="4" style="--a:1.0;--e:1.0">↵</i></div>'
    )


def test_the_reach_of_each_token_is_marked() -> None:
    page = to_html(token_strip(["x"] * 41, list(range(41)), [0.0] * 41, position=20, largest=1.0))
    assert (page.count('class="mid"'), page.count('class="far"'), page.count('class="here"')) == (22, 8, 1)
