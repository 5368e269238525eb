from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import false_discovery_control, hypergeom

from msae.activations.store import RowTokens
from msae.analysis.sample import ArrayRows, CodeTable, Origin, PairSettings
from msae.analysis.sample.pairs import find_pairs
from msae.analysis.sample.shift import shifted, shifts
from msae.analysis.sample.significance import calibrated_cut, log_cut, log_tail
from msae.sae.codes import SparseCodes


def test_the_bound_holds_and_is_close_where_it_matters():
    generator = np.random.default_rng(0)
    n_rows = 5000
    a, b = generator.integers(5, 900, size=(2, 400))
    together = np.minimum(np.minimum(a, b), (a * b / n_rows + generator.exponential(12, 400)).astype(int))
    exact = hypergeom.logsf(together - 1, n_rows, a, b)
    bound = log_tail(together, a, b, n_rows)
    assert np.all(bound >= exact - 1e-9)
    far = exact < np.log(1e-5)
    assert far.sum() > 50
    assert np.all(bound[far] - exact[far] < np.log(1.12))


def test_by_hand():
    # Both fire on the same 2 of 4 rows: 1 of the 6 ways to choose 2 rows.
    assert np.exp(log_tail(np.array([2]), np.array([2]), np.array([2]), 4)) == pytest.approx([1 / 6])
    # As often together as chance has it, or less: no evidence.
    assert log_tail(np.array([1, 0]), np.array([2, 2]), np.array([2, 2]), 4).tolist() == [0, 0]


def test_the_cut_is_that_of_benjamini_and_hochberg():
    p = np.random.default_rng(1).uniform(size=500) ** 4
    rejected = false_discovery_control(p) <= 0.05
    cut = log_cut(np.log(p), 500, 0.05)
    assert np.array_equal(np.log(p) <= cut, rejected)
    # Tests that were never written down count with p = 1.
    low = p < 0.2
    assert log_cut(np.log(p[low]), 500, 0.05) == cut
    assert log_cut(np.log(np.array([0.5])), 1, 0.05) == -np.inf
    assert log_cut(np.empty(0), 0, 0.05) == -np.inf


def test_the_calibrated_cut_by_hand():
    # All five pass at 0.5; of the null none does up to the second, two do from the third on: 2 + 1 > ½ · 4.
    log_p = np.log(np.array([1e-9, 1e-8, 1e-5, 1e-4, 1e-3]))
    null = np.log(np.array([1e-7, 1e-6, 5e-4]))
    assert calibrated_cut(log_p, null, 5, 0.5) == log_p[1]
    assert calibrated_cut(log_p, np.empty(0), 5, 0.5) == log_cut(log_p, 5, 0.5) == log_p[-1]
    assert calibrated_cut(log_p, np.full(9, -30.0), 5, 0.5) == -np.inf
    # The same of two draws together: (3 + 1) / 2 ≤ ½ · 5.
    assert calibrated_cut(log_p, null, 5, 0.5, n_nulls=2) == log_p[4]


def bursts(n_latents: int, n_documents: int, length: int, generator: np.random.Generator) -> np.ndarray:
    """Latents that have nothing to do with each other, and fire more in some documents: in those of their topics."""
    topic = generator.integers(4, size=n_documents)
    likes = generator.uniform(0.01, 0.3, size=(4, n_latents)) ** 2
    rate = np.repeat(likes[topic] * 3, length, axis=0)
    return generator.random((n_documents * length, n_latents)) < rate


def test_pairs_are_false_at_the_rate_that_is_stated():
    """Documents make latents fire together that have nothing to do with each other. Benjamini–Hochberg alone calls
    hundreds of them significant; next to 200 true pairs the calibrated cut lets through what it says."""
    wrong = right = 0
    settings, level_of = PairSettings(partners=400), np.zeros(560, dtype=np.int64)
    true = {(j, j + 200) for j in range(160, 360)}
    for seed in range(3):
        generator = np.random.default_rng(seed)
        twins = generator.random((4000, 200)) < 0.03
        same = np.where(generator.random((4000, 200)) < 0.9, twins, generator.random((4000, 200)) < 0.03)
        fires = np.concatenate([bursts(160, 80, 50, generator), twins, same], axis=1)
        codes = CodeTable.of(SparseCodes.from_dense(torch.from_numpy(fires).float()))
        row = torch.arange(4000)
        rows = ArrayRows(torch.zeros(4000, 1), RowTokens(token_id=0 * row, document=row // 50, offset=row % 50))
        origin = Origin.of(rows, 4000)
        plain = find_pairs(codes, level_of, settings)
        assert len(significant(plain) - true) > 200
        pairs = find_pairs(codes, level_of, settings, null=shifts(codes, origin, shifted(codes, origin), seed=0))
        wrong, right = wrong + len(significant(pairs) - true), right + len(significant(pairs) & true)
        again = find_pairs(shifted(codes, origin, seed=1), level_of, settings, cut=pairs.cut)
        assert again.n_significant <= 0.02 * pairs.n_significant
    assert right == 600 and wrong <= 0.02 * (wrong + right)


def significant(pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.a[pairs.significant].tolist(), pairs.b[pairs.significant].tolist(), strict=True))
