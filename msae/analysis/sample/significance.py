"""Do two latents fire together by chance? A bound of the tail, and the cut on it at a false discovery rate.

The tail takes the rows of a document for independent, which they are not: latents fire in runs. So the rate at which it
is cut is not the rate of what is false, unless the cut is calibrated on codes of which nothing is true
(`calibrated_cut`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int


def log_tail(
    together: Int[np.ndarray, " pairs"],
    expected: Float[np.ndarray, " pairs"],
    variance: Float[np.ndarray, " pairs"],
) -> Float[np.ndarray, " pairs"]:
    """An upper bound of log P(X ≥ together), X the rows on which two latents fire together by chance (`strata`).

    X is a sum of hypergeometric numbers, which are sums of independent ones of 0 and 1 (Vatutin & Mikhailov 1982), so
    Bennett's inequality (1962) holds: with t = together − E, log P ≤ −V h(t / V), h(u) = (1 + u) log(1 + u) − u. At or
    below the mean the bound is 0 (a probability of one).
    """
    above = np.maximum(together - expected, 0.0)
    spread = np.maximum(variance, 1e-12)
    u = above / spread
    return np.where(above > 1e-9 * np.maximum(expected, 1.0), -spread * ((1 + u) * np.log1p(u) - u), 0.0)


def log_cut(log_p: Float[np.ndarray, " pairs"], n_tests: int, rate: float) -> float:
    """The largest log p that Benjamini–Hochberg rejects at false-discovery rate `rate`; −inf when it rejects none.

    `n_tests` counts all tests; those not in `log_p` have p = 1.
    """
    ordered = np.sort(log_p)
    limits = np.log(rate) + np.log(np.arange(1, len(ordered) + 1)) - np.log(max(n_tests, 1))
    passed: Bool[np.ndarray, " pairs"] = ordered <= limits
    return float(ordered[np.flatnonzero(passed)[-1]]) if passed.any() else -np.inf


def calibrated_cut(
    log_p: Float[np.ndarray, " pairs"],
    null_log_p: Float[np.ndarray, " null"],
    n_tests: int,
    rate: float,
    n_nulls: int = 1,
) -> float:
    """The largest log p up to which a null has at most `rate` as many tests as the data, at most `log_cut`; −inf when
    there is none.

    `null_log_p`: of `n_nulls` draws of the null together, each of as many tests, on data of which nothing is true.
    Where any of these lie beyond the cut one more is counted, since it is chosen where they are few (Barber & Candès
    2015).
    """
    found = np.sort(log_p[log_p <= log_cut(log_p, n_tests, rate)])
    so_far = np.searchsorted(found, found, side="right")
    false = np.searchsorted(np.sort(null_log_p), found, side="right")
    passed = np.flatnonzero(false + (false > 0) <= rate * n_nulls * so_far)
    return float(found[passed[-1]]) if len(passed) else -np.inf
