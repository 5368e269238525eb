"""The experiment at a tiny size on the spot, and in full, as it is run by hand, where time allows."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

SCRIPT = Path(__file__).parents[3] / "experiments" / "hierarchy_recovery.py"


@pytest.fixture(scope="module")
def experiment() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hierarchy_recovery", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_level_for_each_depth_of_the_forest(experiment):
    nested = experiment.nestings()["Matryoshka"]
    assert nested.widths == (24, 120)
    assert experiment.FOREST.n_features == 120


def test_it_prints_its_table(experiment):
    settings = experiment.Settings(n_tokens=2048, seeds=(0, 1))
    results = [experiment.train_and_compare(name, seed, settings) for name in experiment.nestings() for seed in (0, 1)]
    summary = experiment.summarise(results)
    first, second = (result.figures()["F1 per latent"] for result in results[:2])
    assert summary["Matryoshka"]["F1 per latent"] == pytest.approx(
        ((first + second) / 2, abs(first - second) / 2**0.5), abs=1e-9
    )
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(experiment.as_table(summary, settings))
    text = console.export_text()
    for word in ("Matryoshka", "Unnested", "F1 per latent", "parent silent on children", "mean |cos|", "±"):
        assert word in text


@pytest.mark.slow
def test_nesting_is_clearly_better_on_f1_and_parent_silence():
    run = subprocess.run([sys.executable, str(SCRIPT), "--json"], capture_output=True, text=True, check=True)
    summary = json.loads(run.stdout)["summary"]
    nested, plain = summary["Matryoshka"], summary["Unnested"]

    def margin(figure: str) -> float:
        """Difference of the means in joint standard deviations."""
        difference = nested[figure]["mean"] - plain[figure]["mean"]
        return difference / (nested[figure]["sd"] ** 2 + plain[figure]["sd"] ** 2) ** 0.5

    assert nested["F1 per latent"]["mean"] > plain["F1 per latent"]["mean"] + 0.1
    assert nested["parent silent on children"]["mean"] < plain["parent silent on children"]["mean"] / 2
    assert margin("F1 per latent") > 2.5
    assert margin("parent silent on children") < -2.5
    assert nested["L0"]["mean"] == pytest.approx(plain["L0"]["mean"], rel=0.02), "compared at the same L0"
