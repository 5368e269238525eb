from __future__ import annotations

import numpy as np
import pytest
import torch

import msae
from msae.analysis.all_measurements import RateDistortion
from msae.analysis.features.collection import collect
from msae.analysis.levels.evaluate import evaluate_levels, evaluate_rows
from msae.analysis.levels.quantised_loss import QuantisedLosses, quantised_losses
from msae.analysis.levels.rate_distortion import on_frontier
from msae.analysis.sample import ArrayRows
from msae.analysis.tables import Status
from msae.core.errors import ConfigError, EvaluationError


def table_of(collected, **settings) -> list[dict]:
    return RateDistortion(**settings).run(collected).tables["rate_distortion"].to_pylist()


def test_by_hand(from_codes):
    # One latent fires on half the rows with 1, the other on a quarter with 3: rms² = (2 · 1 + 1 · 9) / 3.
    codes = torch.zeros(64, 2)
    codes[:32, 0], codes[:16, 1] = 1.0, 3.0
    rms = (11 / 3) ** 0.5
    rows = table_of(from_codes(codes, (1, 2)), steps=(2 / rms,))
    assert [row["step"] for row in rows] == pytest.approx([2, 2])
    # In steps of 2 both are written as a multiple of 2: 1 as 2 (at least a step), 3 as 4. One value a band: no bits.
    quarter = 0.25 * 2 + 0.75 * np.log2(4 / 3)
    assert [row["bits_firing"] for row in rows] == pytest.approx([1, 1 + quarter])
    assert [row["bits_values"] for row in rows] == [0, 0]
    spread = 64 * (0.25 + 9 * 0.25 * 0.75)
    assert [row["fvu"] for row in rows] == pytest.approx([(32 + 16 * 9) / spread, (32 + 16) / spread])
    assert [row["on_frontier"] for row in rows] == [True, True]


def test_agrees_with_the_evaluation_at_the_same_step(forest):
    collected = forest.collected
    rows = table_of(collected, steps=(1.0, 0.25))
    for row in rows:
        theirs = evaluate_rows(collected.sae, collected.rows.rows(0, 4000), quantiser_step=row["step"], progress=False)
        level = theirs.levels[row["level"]]
        assert (row["bits_firing"], row["bits_values"]) == pytest.approx((level.bits_firing, level.bits_values))
        assert row["fvu"] == pytest.approx(level.fvu_quantised, rel=1e-4)
        assert row["width"] == level.width and row["ce"] is None


def test_finer_steps_cost_more_and_lose_less(forest):
    rows = [row for row in table_of(forest.collected) if row["level"] == 1]
    bits, fvu = ([row[name] for row in rows] for name in ("bits", "fvu"))
    assert bits == sorted(bits) and fvu == sorted(fvu, reverse=True)


def test_blocks_are_spread_over_the_sample(from_codes, monkeypatch):
    monkeypatch.setattr("msae.analysis.levels.rate_distortion.BLOCK_ROWS", 10)
    codes = torch.zeros(100, 2)
    codes[:50, 0], codes[50:, 1] = 1.0, 1.0
    (row,) = table_of(from_codes(codes, (2,)), steps=(1.0,), tokens=40)
    assert row["bits_firing"] == pytest.approx(2)  # both fire on half of the rows drawn


def test_cross_entropy_is_that_of_rounded_codes(toys, bigram):
    sae = toys.random_sae(6, (4, 12), threshold=0.5)
    batches = list(bigram.contexts([msae.Document("a", "abcabhh"), msae.Document("b", "gfedcb")]))
    found = quantised_losses(sae, bigram, "embed", batches, [0.7, 0.1])
    for s, step in enumerate((0.7, 0.1)):
        theirs = evaluate_levels(sae, bigram, batches, quantiser_step=step, quantised_ce=True, progress=False)
        assert found.rounded[s] == pytest.approx([level.ce_quantised for level in theirs.levels])
        assert (found.clean, found.zero) == pytest.approx((theirs.levels[0].ce_clean, theirs.levels[0].ce_zero))
    assert found.n_predictions == theirs.sample.n_predictions == 11
    assert found.recovered(0, 1) is None  # zeros make this model guess better, not worse
    hurt = QuantisedLosses(n_predictions=1, clean=2.0, zero=4.0, unigram=3.0, rounded=np.array([[2.5, 4.0]]))
    assert (hurt.recovered(0, 0), hurt.recovered(0, 1)) == (0.75, 0)
    assert (hurt.recovered_unigram(0, 0), hurt.recovered_unigram(0, 1)) == (0.5, -1)
    assert found.unigram == pytest.approx(theirs.levels[0].ce_unigram)
    assert quantised_losses(sae, bigram, "embed", [], [0.7]) is None


def test_the_frontier_by_hand():
    bits, fvu = np.array([1.0, 2, 3, 3, 2]), np.array([0.5, 0.4, 0.4, 0.1, 0.4])
    assert on_frontier(bits, fvu).tolist() == [True, True, False, True, True]


def test_silent_levels_and_too_few_rows_are_named(from_codes):
    codes = torch.zeros(100, 4)
    codes[::2, 0] = 1
    rows = table_of(from_codes(codes, (2, 4)), steps=(1.0,))
    assert [row["status"] for row in rows] == [Status.OK, Status.NEVER]
    assert rows[0]["fvu"] == rows[1]["fvu"]
    few = table_of(from_codes(codes[:10], (2, 4)), steps=(1.0,))
    assert all(row["status"] == Status.FEW and row["bits"] is row["fvu"] is row["ce"] is None for row in few)


def test_refusals(build):
    same = collect(build.sae_of(torch.eye(2), torch.eye(2), (2,)), ArrayRows(torch.ones(50, 2)))
    with pytest.raises(EvaluationError, match="all the same"):
        RateDistortion().run(same)
    with pytest.raises(ConfigError, match="steps"):
        RateDistortion(steps=(0.0,))
