from __future__ import annotations

import pyarrow as pa

from msae.plots.concepts import concepts_figure

CONCEPTS = [
    {"concept": "a", "status": "ok", "probe_f1": 0.9, "level_f1": [0.4, 0.8], "level_k": [1, 2]},
    {"concept": "b", "status": "ok", "probe_f1": 0.7, "level_f1": [None, 0.7], "level_k": [None, 5]},
    {"concept": "c", "status": "too few tokens", "probe_f1": None, "level_f1": [], "level_k": []},
]


def level(number: int, definition: str, **values: object) -> dict:
    record = {
        "level": number,
        "family": "all",
        "of_children": False,
        "definition": definition,
        "concepts": 2,
        "l0": 3.0,
    }
    return {**record, "rate": 0.1 * number, "rate_error": 0.01, "null_rate": 0.02, **values}


def figure(levels: list[dict]):
    probes = {"concepts": pa.Table.from_pylist(CONCEPTS)}
    return concepts_figure(probes, {"concept_absorption_levels": pa.Table.from_pylist(levels)})


def test_a_point_a_concept_and_level_and_a_curve_a_definition_beside_its_null():
    drawn = figure([level(g, name) for g in (0, 1) for name in ("full", "fraction")]).data
    assert [trace.name for trace in drawn] == [
        *("level 0", "level 1", "full", "full, by chance", "fraction", "fraction, by chance"),
    ]
    assert list(drawn[0].x) == [0.9] and list(drawn[0].y) == [0.4]
    assert list(drawn[1].x) == [0.9, 0.7] and list(drawn[1].y) == [0.8, 0.7]
    assert list(drawn[2].x) == [0, 1] and list(drawn[2].y) == [0.0, 0.1] and list(drawn[2].error_y.array) == [0.01] * 2
    assert list(drawn[3].y) == [0.02, 0.02]


def test_families_children_and_what_was_not_measured_are_left_out():
    levels = [level(0, "full", family="names"), level(0, "full", of_children=True), level(0, "full", rate=None)]
    assert [trace.name for trace in figure(levels).data] == ["level 0", "level 1"]
    without_null = figure([level(0, "full", null_rate=None)])
    assert [trace.name for trace in without_null.data] == ["level 0", "level 1", "full"]
