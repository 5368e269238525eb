from __future__ import annotations

import dataclasses

import pytest

from msae.analysis.levels.level_table import LevelRow, LevelTable, Sample
from msae.plots.levels import levels_figure
from msae.plots.theme import write_html

WIDTHS, FVU, L0, BITS = (64, 256, 1024), (0.3, 0.15, 0.08), (3.0, 6.0, 11.0), (30.0, 60.0, 105.0)


def row(level: int) -> LevelRow:
    return LevelRow(
        level=level,
        width=WIDTHS[level],
        band_width=WIDTHS[level] - (WIDTHS[level - 1] if level else 0),
        l0=L0[level],
        fvu=FVU[level],
        ev=1 - FVU[level],
        ev_legacy=None,
        cosine=0.9,
        ce_clean=3.0,
        ce_sae=3.0 + FVU[level],
        ce_zero=5.0,
        ce_mean=4.5,
        ce_recovered=1 - FVU[level] / 2,
        ce_recovered_mean=1 - FVU[level] / 1.5,
        kl=0.1,
        dead=1,
        dense=2,
        bits_firing=BITS[level] - 10,
        bits_values=10.0,
        bits=BITS[level],
        fvu_quantised=FVU[level] + 0.01,
        ce_quantised=None,
    )


@pytest.fixture
def table() -> LevelTable:
    sample = Sample(
        n_tokens=1234, n_contexts=10, n_predictions=1200, model="tiny", hook_name="hook", quantiser_step=0.25
    )
    return LevelTable(levels=tuple(row(level) for level in range(3)), sample=sample)


def without_ce(table: LevelTable) -> LevelTable:
    nothing = dict.fromkeys(("ce_clean", "ce_sae", "ce_zero", "ce_mean", "ce_recovered", "ce_recovered_mean", "kl"))
    return dataclasses.replace(table, levels=tuple(dataclasses.replace(row, **nothing) for row in table.levels))


def traces(figure) -> list[tuple[list, list]]:
    return [(list(trace.x), list(trace.y)) for trace in figure.data]


def test_the_figure_shows_the_table(table):
    fvu, recovered, inner, added, variance, cross_entropy = traces(levels_figure(table))
    assert fvu == ([64, 256, 1024], [0.3, 0.15, 0.08])
    assert recovered == ([64, 256, 1024], pytest.approx([0.85, 0.925, 0.96]))
    assert (inner[1], added[1]) == ([0, 3, 6], [3, 3, 5])
    assert variance == ([30, 60, 105], pytest.approx([0.31, 0.16, 0.09]))
    assert cross_entropy == ([30, 60, 105], pytest.approx([0.15, 0.075, 0.04]))


def test_rounded_codes_are_shown_where_their_loss_was_measured(table):
    rows = tuple(dataclasses.replace(row, ce_quantised=row.ce_sae + 0.2) for row in table.levels)
    last = levels_figure(dataclasses.replace(table, levels=rows)).data[-1]
    assert "rounded" in last.name
    assert list(last.y) == pytest.approx([0.25, 0.175, 0.14])


def test_what_does_not_apply_is_left_out(table):
    figure = levels_figure(without_ce(table))
    assert len(figure.data) == 4
    texts = [annotation.text for annotation in figure.layout.annotations]
    assert not any("Cross-entropy" in text for text in texts)


def test_one_level_alone(table):
    alone = dataclasses.replace(table, levels=table.levels[:1])
    assert traces(levels_figure(alone))[0] == ([64], [0.3])


def test_a_perfect_level_has_no_place_on_a_log_axis(table):
    perfect = dataclasses.replace(table.levels[2], fvu_quantised=0.0, ce_recovered=1.0)
    figure = levels_figure(dataclasses.replace(table, levels=(*table.levels[:2], perfect)))
    assert figure.data[-1].y[2] is None
    assert figure.data[-2].y[2] is None


def test_axes_say_what_they_show(table):
    figure = levels_figure(table)
    axes = [*figure.select_xaxes(), *figure.select_yaxes()]
    titles = [axis.title.text for axis in axes]
    assert sum(title is None for title in titles) == 1, "only the bars' levels name themselves"
    assert "tiny hook" in figure.layout.title.text


def test_the_page_needs_no_network(table, tmp_path):
    path = write_html(levels_figure(table), tmp_path / "results" / "levels.html")
    page = path.read_text(encoding="utf-8")
    assert "<script src=" not in page
    assert "cdn.plot.ly/plotly" not in page
    assert page.count("<!-- plotly") + page.count("* plotly.js v") >= 1
    assert len(page) < 8_000_000, "plotly.js is in it once"
