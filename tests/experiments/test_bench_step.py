"""The benchmark of a step: times taken in turn, and every table at tiny sizes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from experiments.benchmarks import bench_step
from experiments.lib import interleaved
from experiments.lib.results import read_results


def test_work_is_done_in_turn_and_ratios_are_those_of_the_rounds():
    calls = []
    work = {name: lambda i, name=name: calls.append((name, i)) for name in "ab"}
    seconds = interleaved.interleaved(work, 2, warmup=1)
    assert calls == [("a", 0), ("b", 0), ("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 2, "b": 2}
    # The machine is three times slower in the second round and again in the third: the ratio stays 2.
    assert interleaved.ratio([2.0, 6.0, 18.0], [1.0, 3.0, 9.0]) == {"low": 2.0, "median": 2.0, "high": 2.0}
    assert interleaved.ratio([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]) == {"low": 1.5, "median": 2.0, "high": 2.5}


@pytest.mark.slow
def test_every_table_at_tiny_sizes(tmp_path):
    sizes = {"d-in": "16", "k": "3", "batch": "64", "threads": "1"}
    options = [word for name, value in sizes.items() for word in (f"--setting.{name}", value)]
    command = [sys.executable, bench_step.__file__, *options, "--setting.widths", "8", "64"]
    command += ["--rounds", "3", "--profile", "--no-peers", "--results", tmp_path / "bench.json"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "no GPU figure was taken" in done.stdout or "--device cuda" in done.stdout
    results = read_results(tmp_path / "bench.json")
    assert results.figure("a step / encoder product", step="encoder product alone").value == 1.0
    assert {figure.n for figure in results.figures if figure.name == "a step"} == {3}
    shares = [figure for figure in results.figures if figure.name == "share of a step's time"]
    for step in ("msae, nested", "msae, nested, a step with AuxK, 20% dead"):
        parts = {figure.case["part"]: figure.value for figure in shares if figure.case["step"] == step}
        assert sum(parts.values()) == pytest.approx(1)
        assert {"msae::select", "msae::product", "msae::decode", "msae::gradients", "msae::update"} < set(parts)
    assert results.figure("training above an idle process", step="training").value > 0
