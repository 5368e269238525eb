"""Results are written and read in one form, and what does not fit is refused by name."""

from __future__ import annotations

import json
import sys

import pytest

from experiments.lib.machine import family, kind_of_machine
from experiments.lib.results import ROOT, Figure, Results, command_line, mean_of, read_results, record, write_results
from msae.core.errors import ConfigError

SCRIPT = ROOT / "experiments" / "studies" / "forest.py"


def figure(**changes) -> Figure:
    return Figure(
        **{"name": "FVU", "value": 0.25, "unit": "fraction", "n": 3, "case": {"SAE": "nested", "L0": 8}} | changes
    )


def results(*figures: Figure, **changes) -> Results:
    fields = {"question": "What?", "command": "python x.py", "date": "2026-11-28", "versions": {"msae": "0.1.0"}}
    fields |= {"machine": {"processor": "AMD EPYC"}, "seeds": (0, 1, 2), "settings": {"widths": (8, 16)}}
    return Results(figures=figures or (figure(),), **fields | changes)


def test_what_is_written_is_read(tmp_path):
    written = results(figure(sd=0.5, each=(0.2, 0.25, 0.3)), figure(case={"SAE": "plain"}, value=None, chance=0.1))
    write_results(tmp_path / "a.json", written)
    assert read_results(tmp_path / "a.json") == written
    lines = (tmp_path / "a.json").read_text().splitlines()
    assert sum('"name": "FVU"' in line for line in lines) == 2, "a figure a line"


def test_a_script_records_its_command_without_where_the_results_go(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "--seeds", "0", "--results", str(tmp_path / "a.json"), "--k", "2"])
    assert command_line(SCRIPT) == "python experiments/studies/forest.py --seeds 0 --k 2"
    record(tmp_path / "a.json", str(SCRIPT), question="What?", figures=[figure()], seeds=(0,), threads=1)
    kept = read_results(tmp_path / "a.json")
    assert kept.command.endswith("--seeds 0 --k 2") and kept.versions["msae"] and kept.machine["threads"] == 1
    assert kept.recorded_from is None


def test_a_mean_has_its_deviation_and_each_value():
    of = mean_of("F1", [1.0, 2.0, 3.0], "F1", {"SAE": "plain"})
    assert (of.value, of.sd, of.n, of.each) == (2.0, 1.0, 3, (1.0, 2.0, 3.0))
    assert mean_of("F1", [1.0], "F1", {}).sd is None


def test_a_figure_is_found_by_name_and_case():
    both = results(figure(), figure(case={"SAE": "plain", "L0": 8}, value=0.5))
    assert both.figure("FVU", SAE="plain").value == 0.5
    for wrong in ({"SAE": "other"}, {}):
        with pytest.raises(ConfigError, match="one that is there"):
            both.figure("FVU", **wrong)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"n": 0}, "n = 0"), ({"value": "many"}, "value"), ({"unit": ""}, "unit"), ({"each": (1.0,)}, "each"),
     ({"case": {"k": [1]}}, "case"), ({"value": float("nan")}, "value")],
)  # fmt: skip
def test_a_figure_that_says_too_little_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        figure(**changes)


def test_two_figures_of_one_case_an_unknown_field_and_a_date_that_is_none_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="one figure for a name and a case"):
        results(figure(), figure(value=0.5))
    with pytest.raises(ValueError, match="isoformat"):
        results(date="yesterday")
    write_results(tmp_path / "a.json", results())
    values = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "b.json").write_text(json.dumps(values | {"figures": [{**values["figures"][0], "units": "m"}]}))
    with pytest.raises(ConfigError, match="no field 'units'; did you mean 'unit'"):
        read_results(tmp_path / "b.json")


@pytest.mark.parametrize(
    ("full", "short"),
    [("AMD EPYC 7763 64-Core Processor", "AMD EPYC"), ("Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz", "Intel Xeon"),
     ("Apple M2 Pro", "Apple"), ("x86_64", "unknown")],
)  # fmt: skip
def test_a_machine_is_kept_by_its_family(full, short):
    assert family(full) == short
    assert not any(character.isdigit() for character in str(kind_of_machine(1)["processor"]))
