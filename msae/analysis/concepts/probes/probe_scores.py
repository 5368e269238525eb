"""How good a probe is: F1 on documents it was not fitted on, with the error that another draw of documents makes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from msae.core.rng import numpy_stream


@dataclass(frozen=True, kw_only=True)
class Score:
    """F1 = 2 TP / (2 TP + FP + FN), its standard error, and precision and recall (0 where nothing was predicted)."""

    f1: float
    error: float
    precision: float
    recall: float


@dataclass(frozen=True, kw_only=True)
class Documents:
    """Which of a sample's documents are for testing, and how often each is drawn in each resample of those; and which
    are for validation: what is chosen by a score is chosen on them, since a score that chose is too good."""

    is_test: Bool[np.ndarray, " documents"]
    is_validation: Bool[np.ndarray, " documents"]
    draws: Float[np.ndarray, "resamples documents"]

    @classmethod
    def split(
        cls, document: Int[np.ndarray, " rows"], test_share: float, validation_share: float, resamples: int, seed: int
    ) -> Documents:
        """The split of the documents that rows are from, of which there must be three: as many for testing and for
        validation as the shares say, at least one of either and one that is neither."""
        present = np.flatnonzero(np.bincount(document))
        n_test = min(max(1, round(test_share * len(present))), len(present) - 2)
        n_validation = min(max(1, round(validation_share * len(present))), len(present) - n_test - 1)
        drawn = numpy_stream(seed, "probing/split").permutation(present)
        is_test, is_validation = np.zeros((2, present[-1] + 1), dtype=bool)
        is_test[drawn[:n_test]] = True
        is_validation[drawn[n_test : n_test + n_validation]] = True
        draws = np.zeros((resamples, len(is_test)))
        stream = numpy_stream(seed, "probing/resamples")
        draws[:, is_test] = stream.multinomial(n_test, np.full(n_test, 1 / n_test), size=resamples)
        return cls(is_test=is_test, is_validation=is_validation, draws=draws)

    @property
    def is_fitted(self) -> Bool[np.ndarray, " documents"]:
        """Which are neither for testing nor for validation."""
        return ~(self.is_test | self.is_validation)

    def score(
        self,
        predicted: Bool[np.ndarray, " rows"],
        positive: Bool[np.ndarray, " rows"],
        document: Int[np.ndarray, " rows"],
    ) -> Score:
        """Of predictions on test rows, of which at least one is positive; `document`: of each row."""
        hit, predicted, true = (
            np.bincount(document[which], minlength=len(self.is_test))
            for which in (predicted & positive, predicted, positive)
        )
        n_hit, n_predicted, n_true = int(hit.sum()), int(predicted.sum()), int(true.sum())
        return Score(
            f1=2 * n_hit / (n_predicted + n_true),
            error=self.error(2 * hit, predicted + true),
            precision=n_hit / n_predicted if n_predicted else 0.0,
            recall=n_hit / n_true,
        )

    def error(self, part: Real[np.ndarray, " documents"], whole: Real[np.ndarray, " documents"]) -> float:
        """The standard error of Σ part / Σ whole, over resamples of the test documents (those without any left out)."""
        parts, wholes = self.draws @ part, self.draws @ whole
        some = wholes > 0
        return float((parts[some] / wholes[some]).std(ddof=1)) if some.sum() > 1 else 0.0


def f1_of(predicted: Bool[np.ndarray, " rows"], positive: Bool[np.ndarray, " rows"]) -> float:
    """2 TP / (2 TP + FP + FN); 0 where nothing is predicted and nothing is there."""
    return float(2 * (predicted & positive).sum() / max(predicted.sum() + positive.sum(), 1))


def best_threshold(
    scores: Float[np.ndarray, " rows"],
    positive: Bool[np.ndarray, " rows"],
    weight: Float[np.ndarray, " rows"] | None = None,
) -> float:
    """The threshold above which predicting gives the largest F1: midway between two scores (None: weights of 1)."""
    weight = np.ones(len(scores)) if weight is None else weight
    order = np.argsort(-scores, kind="stable")
    ordered, weight = scores[order], weight[order]
    hit = np.cumsum(weight * positive[order])
    f1 = 2 * hit / (np.cumsum(weight) + hit[-1])
    ends = np.append(ordered[1:] < ordered[:-1], True)  # equal scores are predicted together
    best = int(np.argmax(np.where(ends, f1, -1.0)))
    below = ordered[best + 1] if best + 1 < len(ordered) else ordered[best] - 2.0
    return float((ordered[best] + below) / 2)
