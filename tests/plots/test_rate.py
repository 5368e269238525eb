from __future__ import annotations

import math

from msae.plots.rate import rate_figure


def record(level: int, step: float, bits: float, fvu: float, ce_recovered: float | None) -> dict:
    values = {"level": level, "width": 8 << level, "step_over_rms": step, "bits": bits, "fvu": fvu}
    return {**values, "ce_recovered": ce_recovered}


def two_levels(ce: float | None = 0.9) -> list[dict]:
    return [record(level, step, 10 * level + 1 / step, 0.5 / (level + 1), ce) for level in (0, 1) for step in (1, 0.5)]


def test_a_curve_a_level_in_each_panel():
    figure = rate_figure({"": two_levels()})
    assert [trace.name for trace in figure.data] == ["level 0, 8 latents", "level 1, 16 latents"] * 2
    assert list(figure.data[1].x) == [11, 12] and list(figure.data[1].y) == [0.25, 0.25]
    assert all(math.isclose(lost, 0.1) for lost in figure.data[2].y)
    assert [trace.showlegend for trace in figure.data] == [True, True, False, False]


def test_several_runs_and_no_cross_entropy_where_one_has_none():
    figure = rate_figure({"a": two_levels(), "b": two_levels(None)})
    assert [trace.name for trace in figure.data][::2] == ["a: level 0, 8 latents", "b: level 0, 8 latents"]
    assert figure.data[0].line.color != figure.data[2].line.color
    assert figure.data[0].line.dash != figure.data[1].line.dash


def test_too_few_rows_are_left_out():
    rows = [record(0, 1, None, None, None), record(1, 1, 5.0, 0.5, None)]
    assert [trace.name for trace in rate_figure({"": rows}).data] == ["level 1, 16 latents"]
