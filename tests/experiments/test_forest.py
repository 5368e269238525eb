"""The forest study at a tiny size on the spot, and in full, as it is run by hand, where time allows."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from rich.console import Console

from experiments.lib.results import ROOT, read_results
from experiments.studies import forest

RECORDED = ROOT / "experiments" / "studies" / "results" / "forest.json"


def text_of(*tables) -> str:
    console = Console(width=140, file=io.StringIO(), record=True)
    for table in tables:
        console.print(table)
    return console.export_text()


def test_a_level_for_each_depth_of_the_forest():
    nested = forest.nestings()[forest.NESTED]
    assert nested.widths == (24, 120)
    assert forest.FOREST.n_features == 120


@pytest.fixture(scope="module")
def results():
    settings = forest.Settings(n_tokens=40_960, n_tree=2048, seeds=(0, 1))
    return [forest.train_and_compare(name, seed, settings) for name in forest.nestings() for seed in settings.seeds]


def test_both_tables_are_of_the_same_runs(results):
    text = text_of(forest.recovery_table(results, (0, 1)), forest.tree_table(results, forest.Settings(n_tokens=40_960)))
    for word in ("Matryoshka", "Unnested", "F1 per latent", "parent silent on children", "mean |cos|", "±"):
        assert word in text
    for word in ("precision", "recall in order", "edges by chance", "absorption, unnested"):
        assert word in text


def test_figures_are_means_over_seeds_and_a_seed_each(results):
    found = {(f.name, *f.case.values()): f for f in forest.figures(results)}
    first, second = (result.figures()["F1 per latent"] for result in results[:2])
    of_f1 = found["F1 per latent", "Matryoshka"]
    assert (of_f1.value, of_f1.sd) == pytest.approx(((first + second) / 2, abs(first - second) / 2**0.5))
    assert of_f1.n == 2 and of_f1.each == (first, second)
    assert found["edges", 1].value == results[1].found.edges
    assert found["absorption, unnested", 0].value == results[2].found.absorption


def test_the_recorded_results_are_the_studys_at_its_defaults():
    recorded, settings = read_results(RECORDED), forest.Settings()
    assert recorded.seeds == settings.seeds and recorded.settings["n_tokens"] == settings.n_tokens
    assert recorded.command == "python experiments/studies/forest.py" and recorded.question == forest.QUESTION


@pytest.mark.slow
def test_nesting_is_clearly_better_and_its_tree_is_the_forests(tmp_path):
    command = [sys.executable, forest.__file__, "--results", str(tmp_path / "forest.json")]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "known features" in run.stdout and "Edges against the truth" in run.stdout
    results = read_results(tmp_path / "forest.json")
    found = {(f.name, *f.case.values()): f for f in results.figures}

    def margin(figure: str) -> float:
        """Difference of the means in joint standard deviations."""
        nested, plain = found[figure, "Matryoshka"], found[figure, "Unnested"]
        return (nested.value - plain.value) / (nested.sd**2 + plain.sd**2) ** 0.5

    assert found["F1 per latent", "Matryoshka"].value > found["F1 per latent", "Unnested"].value + 0.1
    silent = "parent silent on children"
    assert found[silent, "Matryoshka"].value < found[silent, "Unnested"].value / 2
    assert margin("F1 per latent") > 2.5 and margin(silent) < -2.5
    at = found["L0", "Matryoshka"].value
    assert at == pytest.approx(found["L0", "Unnested"].value, rel=0.02), "compared at the same L0"
    for seed in results.seeds:
        assert found["recovered", seed].value >= 40 and found["pairs", seed].value >= 20
        assert found["precision", seed].value >= 0.8 and found["recall", seed].value >= 0.8
        assert found["edges by chance", seed].value <= 0.05 * found["edges", seed].value
        assert found["absorption", seed].value < 0.5 * found["absorption, unnested", seed].value
        by_chance = found["absorption, unnested, by chance", seed].value
        assert by_chance < 0.2 * found["absorption, unnested", seed].value
