from __future__ import annotations

from msae.plots.comparison import comparison_figure


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
