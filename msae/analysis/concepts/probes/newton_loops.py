"""The two inner loops of a logistic fit on codes, compiled by numba: rows of codes are mostly zero, and zeros cost
nothing here."""

from __future__ import annotations

import inspect
import math

import numba
import numpy as np
from jaxtyping import Bool, Float


def _moments(
    x: Float[np.ndarray, "rows k"],
    positive: Bool[np.ndarray, " rows"],
    share: Float[np.ndarray, " rows"],
    at: Float[np.ndarray, " k"],
    gradient: Float[np.ndarray, " k"],
    hessian: Float[np.ndarray, "k k"],
) -> float:
    """The loss Σ share · softplus(∓ ⟨x, at⟩), and into the last two arrays its first and second derivatives."""
    gradient[:] = 0.0
    hessian[:] = 0.0
    loss = 0.0
    n, k = x.shape
    firing = np.empty(k, dtype=np.int64)
    for i in range(n):
        score, m = 0.0, 0
        for a in range(k):
            if x[i, a] != 0.0:
                score += x[i, a] * at[a]
                firing[m] = a
                m += 1
        tail = math.exp(-abs(score))
        chance = 1.0 / (1.0 + tail) if score >= 0.0 else tail / (1.0 + tail)
        wrong = -score if positive[i] else score
        loss += share[i] * (max(wrong, 0.0) + math.log1p(tail))
        slope = share[i] * (chance - 1.0 if positive[i] else chance)
        curvature = share[i] * chance * (1.0 - chance)
        for p in range(m):
            a = firing[p]
            gradient[a] += slope * x[i, a]
            weight = curvature * x[i, a]
            for q in range(p + 1):
                hessian[a, firing[q]] += weight * x[i, firing[q]]
    for a in range(k):
        for b in range(a):
            hessian[b, a] = hessian[a, b]
    return loss


def _descend(
    hessian: Float[np.ndarray, "k k"],
    gradient: Float[np.ndarray, " k"],
    at: Float[np.ndarray, " k"],
    l1: Float[np.ndarray, " k"],
    sweeps: int,
) -> Float[np.ndarray, " k"]:
    """argmin over steps d of ⟨gradient, d⟩ + ½ dᵀ H d + Σ l1 |at + d|, a coordinate at a time."""
    k = len(at)
    step, slope = np.zeros(k), gradient.copy()
    for _ in range(sweeps):
        moved = 0.0
        for j in range(k):
            curvature = hessian[j, j]
            old = at[j] + step[j]
            wanted = old - slope[j] / curvature
            size = max(abs(wanted) - l1[j] / curvature, 0.0)
            change = (size if wanted > 0.0 else -size) - old
            if change != 0.0:
                step[j] += change
                for i in range(k):
                    slope[i] += hessian[i, j] * change
                moved = max(moved, curvature * change * change)
        if moved < 1e-12:
            break
    return step


# The tests' shape checks wrap every function; numba compiles what is inside.
moments = numba.njit(nogil=True, cache=True)(inspect.unwrap(_moments))
descend = numba.njit(nogil=True, cache=True)(inspect.unwrap(_descend))
