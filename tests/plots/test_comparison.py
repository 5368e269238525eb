from __future__ import annotations

import numpy as np

from msae.plots.comparison import comparison_figure, nearness_figure
from msae.plots.rate import compared_rate_figure


def level(run: str, number: int, ce: float | None) -> dict:
    return {"run": run, "level": number, "width": 8 << number, "fvu": 0.5, "ce_recovered": ce, "l0": 2.0, "dead": 0}


def rate(run: str, number: int) -> dict:
    return {"run": run, "level": number, "width": 8 << number, "bits": 10.0, "fvu": 0.3, "step_over_rms": 1.0}


OVERLAP = [
    {"a": a, "b": b, "share": share} for a, b, share in (("x", "y", 0.5), ("y", "x", 0.25))
]  # fmt: skip


def test_a_curve_a_run_in_every_panel_and_a_map_of_what_is_found_again():
    levels = [level(run, number, 0.9) for run in "xy" for number in (0, 1)]
    figure = comparison_figure(levels, [rate(run, 0) for run in "xy"], OVERLAP)
    assert [trace.type for trace in figure.data] == ["scatter"] * (4 * 2 + 2) + ["heatmap"]
    heat = figure.data[-1]
    assert [list(row) for row in heat.z] == [[None, 0.5], [0.25, None]] and heat.text[0][1] == "50%"
    assert len(figure.layout.annotations) == 6


def test_what_no_run_has_is_left_out():
    figure = comparison_figure([level("x", 0, None)], [rate("x", 0)], OVERLAP)
    assert not any("Cross" in note.text for note in figure.layout.annotations)


def test_nearness_has_a_trace_a_kind_and_what_chance_reaches():
    columns = {"cosine": np.array([0.5, 0.1, 0.9]), "phi": np.array([0.2, 0.1, 0.8]),
               "latent_a": np.array([3, 4, 5]), "latent_b": np.array([7, 8, 9])}  # fmt: skip
    points = {"both": np.array([2]), "neither": np.array([0, 1])}
    figure = nearness_figure(columns, points, least_cosine=0.3, least_phi=0.25)
    assert [(trace.name, list(trace.x), list(trace.y)) for trace in figure.data] == [
        ("both", [0.9], [0.8]),
        ("neither", [0.5, 0.1], [0.2, 0.1]),
    ]
    assert figure.data[0].customdata[0] == [5, 9] or list(figure.data[0].customdata[0]) == [5, 9]
    assert [shape.x0 for shape in figure.layout.shapes] == [0.3, 0] and figure.layout.shapes[1].y0 == 0.25


def test_rates_side_by_side_differ_in_colour_and_levels_in_dash():
    figure = compared_rate_figure({"x": [rate("x", 0), rate("x", 1)], "y": [rate("y", 0)]})
    looks = [(trace.line.color, trace.line.dash) for trace in figure.data]
    assert looks[0][0] == looks[1][0] != looks[2][0] and looks[0][1] == looks[2][1] != looks[1][1]
