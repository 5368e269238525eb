"""Do two latents fire together by chance? A hypergeometric tail, and the cut on it at a false discovery rate.

The tail takes tokens for independent, which they are not: a document's are alike. So the rate at which it is cut is not
the rate of what is false, unless the cut is calibrated on codes of which nothing is true (`calibrated_cut`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import gammaln


def log_tail(
    together: Int[np.ndarray, " pairs"],
    n_a: Int[np.ndarray, " pairs"],
    n_b: Int[np.ndarray, " pairs"],
    n_rows: int,
) -> Float[np.ndarray, " pairs"]:
    """An upper bound of log P(X ≥ together), X hypergeometric: two latents that fire on n_a and n_b of n_rows rows.

    The ratio r of successive terms falls as X grows, so the tail is at most its first term / (1 − r). Above the mean
    the bound exceeds the tail by a factor of about 1 + 1/z² (z: standard deviations above the mean), so it can only
    make a pair look less significant than it is; at or below the mean it is 0 (a probability of one).
    """
    k, a, b = (np.asarray(counts, dtype=np.float64) for counts in (together, n_a, n_b))
    neither = n_rows - a - b + k
    term = _log_choose(a, k) + _log_choose(n_rows - a, b - k) - _log_choose(np.full_like(a, n_rows), b)
    ratio = (a - k) * (b - k) / ((k + 1) * (neither + 1))
    above = ratio < 1
    bound = term - np.log1p(-np.where(above, ratio, 0.0))
    return np.where(above & (k * n_rows > a * b), np.minimum(bound, 0.0), 0.0)


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


def _log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
