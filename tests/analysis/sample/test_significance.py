from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import false_discovery_control, hypergeom

from msae.activations.store import RowTokens
from msae.analysis.sample import ArrayRows, CodeTable, Origin, PairSettings
from msae.analysis.sample.pairs import find_pairs
from msae.analysis.sample.shift import shift_bounds, shifted, shifts
from msae.analysis.sample.significance import calibrated_cut, log_cut, log_tail
from msae.analysis.sample.strata import Strata
from msae.sae.codes import SparseCodes


def together_of(fires: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows together, and what chance gives within documents of that length, of every pair a < b."""
    codes = CodeTable.of(SparseCodes.from_dense(torch.from_numpy(fires).float()))
    strata = Strata.of(codes, np.arange(0, len(fires) + 1, length))
    a, b = np.triu_indices(fires.shape[1], 1)
    return (fires[:, a] & fires[:, b]).sum(0), *strata.chance(slice(0, fires.shape[1]), a, b)


def test_chance_within_documents_is_the_mean_and_variance_of_shuffling_them():
    generator = np.random.default_rng(0)
    fires = bursts(6, 10, 30, generator)
    _, expected, variance = together_of(fires, 30)
    drawn = []
    for _ in range(2000):
        order = np.concatenate([30 * d + np.stack([generator.permutation(30) for _ in range(6)], 1) for d in range(10)])
        drawn.append(together_of(np.take_along_axis(fires, order, 0), 30)[0])
    np.testing.assert_allclose(np.mean(drawn, 0), expected, atol=4 * np.sqrt(variance.max() / 2000))
    np.testing.assert_allclose(np.var(drawn, 0), variance, rtol=0.2)


def test_the_bound_holds_and_is_close_where_it_matters():
    generator = np.random.default_rng(0)
    length, n = np.array([400, 900]), 300
    a, b = (generator.integers(1, length * share, size=(n, 2)) for share in (0.6, 0.2))
    expected = (a * b / length).sum(1)
    variance = (a * (length - a) * b * (length - b) / (length**2 * (length - 1.0))).sum(1)
    together = (expected + generator.exponential(3, n) * np.sqrt(variance) + 1).astype(int)
    exact = np.empty(n)
    for i in range(n):
        first, second = (hypergeom.pmf(np.arange(length[d] + 1), length[d], a[i, d], b[i, d]) for d in (0, 1))
        exact[i] = np.log(max(np.convolve(first, second)[together[i] :].sum(), 1e-300))
    bound = log_tail(together, expected, variance)
    some = exact > np.log(1e-200)
    assert np.all(bound[some] >= exact[some] - 1e-6)
    far = some & (exact < np.log(1e-5))
    assert far.sum() > 30
    assert np.median(bound[far] / exact[far]) > 0.6


def test_by_hand():
    # In one document of four rows both fire on the same two. E = 2 · 2 / 4, V = 2 · 2 · 2 · 2 / (16 · 3) = 1 / 3.
    fires = np.array([[1, 1], [1, 1], [0, 0], [0, 0]], dtype=bool)
    together, expected, variance = together_of(fires, 4)
    assert (together, expected, variance) == (2, 1, pytest.approx(1 / 3))
    assert log_tail(together, expected, variance) == pytest.approx([-(4 * np.log(4) - 3) / 3])
    # In two documents, in one of which both fire always and in the other never, there is nothing to explain.
    together, expected, variance = together_of(fires, 2)
    assert (together, expected, variance) == (2, 2, 0)
    assert log_tail(together, expected, variance) == [0]


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
    """Documents make latents fire together that have nothing to do with each other. Over all rows Benjamini–Hochberg
    calls hundreds of them significant; within documents the cut lets through what it says, next to 200 true pairs."""
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
        assert len(significant(plain) - true) > 150
        within, nulls = shift_bounds(origin)[0], shifts(codes, origin, shifted(codes, origin), seed=0)
        pairs = find_pairs(codes, level_of, settings, bounds=within, null=nulls)
        wrong, right = wrong + len(significant(pairs) - true), right + len(significant(pairs) & true)
        again = find_pairs(shifted(codes, origin, seed=1), level_of, settings, bounds=within, cut=pairs.cut)
        assert again.n_significant <= 0.02 * pairs.n_significant
    assert right == 600 and wrong <= 0.02 * (wrong + right)


def significant(pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.a[pairs.significant].tolist(), pairs.b[pairs.significant].tolist(), strict=True))
