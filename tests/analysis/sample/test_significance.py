from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control, hypergeom

from msae.analysis.sample.significance import log_cut, log_tail


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
