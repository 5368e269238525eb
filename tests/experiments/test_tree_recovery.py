"""A tree found in an SAE that was trained, scored against the forest it was trained on."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "tree_recovery.py"


@pytest.mark.slow
def test_edges_of_a_trained_sae_are_the_forests_and_nesting_absorbs_less():
    spec = importlib.util.spec_from_file_location("tree_recovery", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    sys.modules["tree_recovery"] = script
    spec.loader.exec_module(script)
    outcome = script.measure(0, script.Settings(n_tokens=150_000, n_test=20_000))
    assert outcome.scores.recovered >= 40 and outcome.scores.pairs >= 20
    assert outcome.scores.precision >= 0.8 and outcome.scores.recall >= 0.8
    assert outcome.edges_by_chance <= 0.05 * outcome.edges
    assert outcome.absorption < 0.5 * outcome.absorption_unnested
    assert outcome.absorption_unnested_by_chance < 0.2 * outcome.absorption_unnested
