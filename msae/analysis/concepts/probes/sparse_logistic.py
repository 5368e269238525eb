"""Logistic probes on codes, which are mostly zero: rows on which none of a probe's latents fires are all alike, and
count as two weighted rows, one of either class.

Both classes weigh half, as in `fit_logistic`. The L1 fit is exact over all latents, though it looks closely at few: a
latent whose gradient stays within the penalty has weight 0 at the minimum, so latents are taken in as long as one's
gradient exceeds it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from scipy.special import expit

from msae.analysis.concepts.probes.newton_loops import descend, moments
from msae.analysis.concepts.probes.probe_scores import best_threshold

AT_ONCE = 24
MOST_ROUNDS = 8
NEWTON_STEPS, SWEEPS = 25, 200
RIDGE = 1e-6


@dataclass(frozen=True, kw_only=True)
class SparseProbe:
    """Σ weight[i] · f[latents[i]] + bias; predicts the concept where that is positive."""

    latents: Int[np.ndarray, " k"]
    weight: Float[np.ndarray, " k"]
    bias: float

    def scores(self, codes: sp.csc_matrix) -> Float[np.ndarray, " rows"]:
        """Of every row of codes (rows, d_sae)."""
        return np.asarray(codes[:, self.latents] @ self.weight).ravel() + self.bias


def gradient_at_zero(codes: sp.csc_matrix, positive: Bool[np.ndarray, " rows"]) -> Float[np.ndarray, " d_sae"]:
    """How fast the loss falls with each latent's weight where all are 0: ¼ (mean over positives − mean over others)."""
    n = positive.sum()
    sums = np.asarray(codes.T @ positive.astype(codes.dtype)).ravel()
    total = np.asarray(codes.sum(axis=0)).ravel()
    return 0.25 * (sums / n - (total - sums) / (len(positive) - n))


def l1_weights(
    codes: sp.csc_matrix, positive: Bool[np.ndarray, " rows"], l1: float
) -> tuple[Float[np.ndarray, " d_sae"], Float[np.ndarray, " d_sae"]]:
    """The weights that minimise the loss + `l1` · ‖w‖₁ over all latents, and `gradient_at_zero`."""
    falls = gradient_at_zero(codes, positive)
    weight = np.zeros(codes.shape[1])
    active = _largest(np.abs(falls), np.abs(falls) > l1, AT_ONCE)
    for _ in range(MOST_ROUNDS):
        if len(active) == 0:
            break
        rows = _Rows.of(codes[:, active], positive)
        fitted, bias = _fit(rows, l1)
        weight[:] = 0
        weight[active] = fitted
        scores = np.asarray(codes[:, active] @ fitted).ravel() + bias
        gradient = np.abs(np.asarray(codes.T @ _residual(scores, positive)).ravel())
        outside = np.ones(len(weight), dtype=bool)
        outside[active] = False
        more = _largest(gradient, outside & (gradient > l1 * 1.001), AT_ONCE)
        if len(more) == 0:
            break
        active = np.concatenate([active[fitted != 0], more])
    return weight, falls


def fit_sparse(
    codes: sp.csc_matrix, positive: Bool[np.ndarray, " rows"], latents: Int[np.ndarray, " k"]
) -> SparseProbe:
    """The probe on these latents alone, with the threshold of the largest F1 on the same rows folded into its bias.

    A penalty of 10⁻⁶ on squares keeps weights finite where the classes can be separated.
    """
    rows = _Rows.of(codes[:, latents], positive)
    weight, bias = _fit(rows, 0.0)
    scores = rows.x @ np.append(weight, bias)
    return SparseProbe(latents=latents, weight=weight, bias=bias - best_threshold(scores, rows.positive, rows.count))


def _largest(values: np.ndarray, eligible: np.ndarray, count: int) -> np.ndarray:
    chosen = np.flatnonzero(eligible)
    return chosen[np.argsort(-values[chosen], kind="stable")[:count]]


def _residual(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    n = positive.sum()
    share = np.where(positive, 0.5 / n, 0.5 / (len(positive) - n))
    return share * (expit(scores) - positive)


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Rows on which a latent fires, with a last column of ones, and below them the zero rows of either class.

    `share`: of the loss. `count`: how many rows each stands for.
    """

    x: Float[np.ndarray, "rows k_and_one"]
    positive: Bool[np.ndarray, " rows"]
    share: Float[np.ndarray, " rows"]
    count: Float[np.ndarray, " rows"]

    @classmethod
    def of(cls, columns: sp.csc_matrix, positive: np.ndarray) -> _Rows:
        n_positive, n = int(positive.sum()), len(positive)
        fires = np.zeros(n, dtype=bool)
        fires[columns.indices] = True
        place = np.cumsum(fires) - 1
        n_firing = int(fires.sum())
        x = np.zeros((n_firing + 2, columns.shape[1] + 1))
        x[:, -1] = 1
        x[place[columns.indices], np.repeat(np.arange(columns.shape[1]), np.diff(columns.indptr))] = columns.data
        own = positive[fires]
        share = np.where(own, 0.5 / n_positive, 0.5 / (n - n_positive))
        silent = np.array([n_positive - own.sum(), (n - n_positive) - (n_firing - own.sum())])
        return cls(
            x=x,
            positive=np.append(own, [True, False]),
            share=np.append(share, silent * [0.5 / n_positive, 0.5 / (n - n_positive)]),
            count=np.append(np.ones(n_firing), silent),
        )


def _fit(rows: _Rows, l1: float) -> tuple[Float[np.ndarray, " k"], float]:
    """Proximal Newton: each step minimises the quadratic model + the penalty, and is halved until the loss falls."""
    size = rows.x.shape[1]
    penalty, ridge = np.full(size, l1), np.full(size, RIDGE)
    penalty[-1] = ridge[-1] = 0.0  # the bias is free

    def objective(at: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        gradient, hessian = np.empty(size), np.empty((size, size))
        loss = moments(rows.x, rows.positive, rows.share, at, gradient, hessian)
        hessian[np.diag_indices(size)] += ridge + 1e-9
        return loss + penalty @ np.abs(at) + 0.5 * ridge @ at**2, gradient + ridge * at, hessian

    at = np.zeros(size)
    value, gradient, hessian = objective(at)
    for _ in range(NEWTON_STEPS):
        step = descend(hessian, gradient, at, penalty, SWEEPS) if l1 else np.linalg.solve(hessian, -gradient)
        length, there = 1.0, objective(at + step)
        while there[0] > value and length > 1e-4:
            length /= 2
            there = objective(at + length * step)
        if there[0] > value:
            break
        at, gained = at + length * step, value - there[0]
        value, gradient, hessian = there
        if gained < 1e-9:
            break
    return at[:-1], float(at[-1])
