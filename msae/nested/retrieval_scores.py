"""How good a ranking is, against what is relevant or against an exact search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from msae.core.errors import EvaluationError


def average_precision(found: Int[np.ndarray, " k"], relevant: set[int]) -> float:
    """AP@k: the mean over the relevant items within reach, min(k, how many there are), of the precision where each is
    found (0 for one that is not)."""
    hits = np.isin(found, list(relevant))
    precision = hits.cumsum() / np.arange(1, len(found) + 1)
    return float((precision * hits).sum() / min(len(found), len(relevant)))


def discounted_gain(found: Int[np.ndarray, " k"], relevant: set[int]) -> float:
    """nDCG@k with gains of 0 and 1: Σ hit_i / log₂(i + 1), divided by what the best ranking would have."""
    discount = 1 / np.log2(np.arange(2, len(found) + 2))
    hits = np.isin(found, list(relevant))
    return float((hits * discount).sum() / discount[: min(len(found), len(relevant))].sum())


def ranking_scores(found: Int[np.ndarray, "queries k"], relevant: Sequence[set[int]]) -> dict[str, float]:
    """Means over queries of `map` and `ndcg` at k; queries with nothing relevant are left out.

    Raises `EvaluationError` when no query has anything relevant.
    """
    pairs = [(row, of) for row, of in zip(found, relevant, strict=True) if of]
    if not pairs:
        raise EvaluationError("not one query has a relevant item: there is no ranking to judge")
    return {
        "map": float(np.mean([average_precision(row, of) for row, of in pairs])),
        "ndcg": float(np.mean([discounted_gain(row, of) for row, of in pairs])),
    }


def recall_of(found: Int[np.ndarray, "queries k"], exact: Int[np.ndarray, "queries k"]) -> float:
    """The share of an exact search's items that another search found too, mean over queries."""
    shares = [len(set(a.tolist()) & set(b.tolist())) / len(b) for a, b in zip(found, exact, strict=True)]
    return float(np.mean(shares))
