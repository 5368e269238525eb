"""Fits against a general optimiser, and against what is known without one."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.optimize import minimize

from msae.analysis.concepts.probes.logistic import fit_logistic
from msae.analysis.concepts.probes.sparse_logistic import fit_sparse, gradient_at_zero, l1_weights
from msae.core.rng import torch_stream


def class_weights(y: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    weight = np.ones(len(y)) if weight is None else weight
    return weight * np.where(y, 0.5 / weight[y].sum(), 0.5 / weight[~y].sum())


def loss(x: np.ndarray, y: np.ndarray, share: np.ndarray, parameters: np.ndarray) -> float:
    scores = x @ parameters[:-1] + parameters[-1]
    return float(share @ np.logaddexp(0, np.where(y, -scores, scores)))


@pytest.fixture(scope="module")
def dense() -> tuple[np.ndarray, np.ndarray]:
    """400 rows in 6 dimensions of very different spread, far from the origin; three concepts, one of them rare."""
    generator = torch_stream(0, "test/logistic")
    spread = torch.tensor([10.0, 3.0, 1.0, 1.0, 0.3, 0.1])
    x = torch.randn(400, 6, generator=generator) * spread + 5
    noise = torch.randn(400, 3, generator=generator)
    scores = (x - 5) / spread @ torch.randn(6, 3, generator=generator) + noise
    return x.numpy().astype(float), (scores > torch.tensor([0.0, 1.0, 4.0])).numpy()


@pytest.mark.parametrize("weighted", [False, True])
def test_many_probes_at_once_are_the_minima_one_by_one(dense, weighted):
    x, positive = dense
    weight = np.where(np.arange(400) % 3 == 0, 2.0, 1.0) if weighted else None
    fit = fit_logistic(
        torch.from_numpy(x),
        torch.from_numpy(positive),
        l2=0.01,
        row_weight=None if weight is None else torch.from_numpy(weight),
        steps=200,
        tolerance=1e-8,
    )
    scale = np.sqrt((x**2).sum(1).mean() / 6)
    for c in range(3):
        share = class_weights(positive[:, c], weight)

        def objective(parameters, share=share, y=positive[:, c]):
            return loss(x / scale, y, share, parameters) + 0.005 * (parameters[:-1] ** 2).sum()

        best = minimize(objective, np.zeros(7), options={"gtol": 1e-9}).x
        np.testing.assert_allclose(fit.weight[c].numpy() * scale, best[:-1], atol=2e-4)
        assert fit.bias[c].item() == pytest.approx(best[-1], abs=2e-3)


@pytest.fixture(scope="module")
def sparse() -> tuple[sp.csc_matrix, np.ndarray]:
    """2,000 rows of 60 latents that fire on 5% of the rows; the concept goes with the first four, against the fifth."""
    generator = np.random.default_rng(0)
    fires = generator.random((2000, 60)) < 0.05
    codes = sp.csc_matrix(fires * generator.uniform(0.5, 2, (2000, 60)))
    scores = codes[:, :5] @ np.array([5.0, 4.0, 3.0, 2.0, -3.0]) - 2
    return codes, scores + generator.logistic(size=2000) > 0


def test_the_l1_probe_is_at_its_minimum(sparse):
    codes, y = sparse
    weight, falls = l1_weights(codes, y, 0.01)
    share, dense = class_weights(y), codes.toarray()
    bias = minimize(lambda b: loss(dense, y, share, np.append(weight, b)), 0.0).x[0]
    scores = dense @ weight + bias
    gradient = dense.T @ (share * (1 / (1 + np.exp(-scores)) - y))
    on = weight != 0
    assert {0, 1, 2, 3} <= set(np.flatnonzero(weight > 0)) and on.sum() < 30
    np.testing.assert_allclose(gradient[on], -0.01 * np.sign(weight[on]), atol=1e-4)
    assert (np.abs(gradient[~on]) <= 0.01 * 1.002).all()
    np.testing.assert_allclose(falls, dense.T @ (share * (y - 0.5)), atol=1e-12)
    np.testing.assert_allclose(falls, gradient_at_zero(codes, y))
    assert not l1_weights(codes, y, 1.0)[0].any()


def test_the_probe_on_a_few_latents_is_at_its_minimum_and_its_threshold_best(sparse):
    codes, y = sparse
    probe = fit_sparse(codes, y, np.array([0, 1, 4]))
    x, share = codes[:, [0, 1, 4]].toarray(), class_weights(y)

    def objective(parameters: np.ndarray) -> float:
        return loss(x, y, share, parameters) + 0.5e-6 * (parameters[:-1] ** 2).sum()

    best = minimize(objective, np.zeros(4), options={"gtol": 1e-9}).x
    np.testing.assert_allclose(probe.weight, best[:-1], atol=1e-3)
    scores = x @ probe.weight

    def f1(threshold: float) -> float:
        said = scores > threshold
        return 2 * (said & y).sum() / (said.sum() + y.sum())

    assert f1(-probe.bias) == max(f1(value) for value in np.unique(scores) - 1e-9)
    np.testing.assert_allclose(probe.scores(codes), scores + probe.bias)


def test_separable_rows_have_finite_weights():
    codes = sp.csc_matrix(np.array([[1.0], [2.0], [0.0], [0.0]]))
    probe = fit_sparse(codes, np.array([True, True, False, False]), np.array([0]))
    assert np.isfinite(probe.weight).all() and (probe.scores(codes) > 0).tolist() == [True, True, False, False]
