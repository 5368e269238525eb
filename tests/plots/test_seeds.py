from __future__ import annotations

import pytest

from msae.plots.seeds import Panel, mean_and_sd, seeds_figure

VALUES = {"L0 8": {"nested": [1.0, 3.0], "plain": [2.0]}, "L0 24": {"nested": [0.5, 0.5], "plain": []}}


def test_every_seed_is_a_dot_beside_the_mean_and_its_deviation():
    figure = seeds_figure([Panel(title="T", label="y", values=VALUES)], ["nested", "plain"], title="All")
    seeds, mean, other_seeds, other_mean = figure.data
    assert list(seeds.y) == [1.0, 3.0, 2.0]
    assert list(mean.y) == [2.0, 2.0] and list(mean.error_y.array) == pytest.approx([2**0.5, 0.0])
    assert [list(row) for row in mean.customdata] == [["nested", pytest.approx(2**0.5)], ["plain", 0.0]]
    assert list(other_seeds.y) == [0.5, 0.5] and list(other_mean.y) == [0.5]  # no value, no mark
    assert mean.marker.symbol != other_mean.marker.symbol and mean.marker.color != other_mean.marker.color
    assert mean.x[0] < 0 < other_mean.x[0] and mean.x[1] - mean.x[0] == 1
    assert [trace.showlegend for trace in figure.data] == [False, True, False, True]
    assert list(figure.layout.xaxis.ticktext) == ["nested", "plain"]


def test_chance_is_drawn_where_it_is_known_and_a_series_stands_once_in_the_legend():
    null = {"L0 8": {"nested": [0.1, 0.3]}}
    panels = [Panel(title="T", label="y", values=VALUES, null=null), Panel(title="U", label="z", values=VALUES)]
    figure = seeds_figure(panels, ["nested", "plain"], title="All")
    (chance,) = [trace for trace in figure.data if trace.name == "by chance"]
    assert list(chance.y) == [pytest.approx(0.2)] and list(chance.x) == [figure.data[1].x[0]]
    assert sum(bool(trace.showlegend) for trace in figure.data) == 2
    assert "by chance" in figure.layout.title.text
    without = seeds_figure(panels[1:], ["nested, sampled"], title="All")
    assert "by chance" not in without.layout.title.text and list(without.layout.xaxis.ticktext) == [
        "nested,<br>sampled"
    ]


def test_mean_and_sd():
    assert mean_and_sd([2.0]) == (2.0, 0.0)
    assert mean_and_sd([1.0, 2.0, 3.0]) == (2.0, 1.0)
