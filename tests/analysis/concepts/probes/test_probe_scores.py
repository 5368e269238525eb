"""F1, its threshold and its error, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from msae.analysis.concepts.probes.probe_scores import Documents, best_threshold
from msae.analysis.concepts.probes.shifted_labels import shift_within


def booleans(text: str) -> np.ndarray:
    return np.array([character == "1" for character in text])


def test_the_threshold_of_the_largest_f1():
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    # Predicting the first 1, 2, 3, 4, 5: F1 = 2/4, 2/5, 4/6, 6/7, 6/8.
    assert best_threshold(scores, booleans("10110")) == 1.5
    assert best_threshold(np.array([1.0, 1.0, 0.0]), booleans("101")) < 0  # equal scores go together: 2/4 < 4/5


def test_weighted_rows_count_as_that_many():
    scores, positive = np.array([3.0, 2.0, 1.0]), booleans("101")
    repeated = best_threshold(np.array([3.0, 2, 2, 2, 2, 1]), booleans("100001"))
    assert best_threshold(scores, positive, np.array([1.0, 4.0, 1.0])) == repeated == 2.5


def split(n_documents: int = 4) -> Documents:
    return Documents(
        is_test=np.ones(n_documents, bool), is_validation=np.zeros(n_documents, bool), draws=np.ones((3, n_documents))
    )


def test_f1_by_hand():
    score = split().score(booleans("1110"), booleans("1011"), np.array([0, 1, 2, 3]))
    assert (score.precision, score.recall) == (2 / 3, 2 / 3)
    assert score.f1 == 2 * 2 / (3 + 3) and score.error == 0
    assert split().score(booleans("0000"), booleans("0010"), np.arange(4)).f1 == 0


def test_the_error_is_that_of_other_draws_of_documents():
    draws = np.array([[2.0, 0.0], [0.0, 2.0]])
    documents = Documents(is_test=np.ones(2, bool), is_validation=np.zeros(2, bool), draws=draws)
    score = documents.score(booleans("1100"), booleans("1001"), np.array([0, 1, 1, 1]))
    assert score.f1 == 0.5
    assert score.error == pytest.approx(np.std([1.0, 0.0], ddof=1))


def test_documents_are_split_whole_and_the_same_each_time():
    document = np.repeat(np.arange(40), 5)
    documents = Documents.split(document, 0.3, 0.15, 50, seed=0)
    assert (documents.is_test.sum(), documents.is_validation.sum(), documents.is_fitted.sum()) == (12, 6, 22)
    assert not (documents.is_test & documents.is_validation).any()
    three = Documents.split(np.array([0, 1, 2]), 0.3, 0.15, 50, seed=0)
    assert (three.is_test.sum(), three.is_validation.sum(), three.is_fitted.sum()) == (1, 1, 1)
    assert (documents.draws.sum(axis=1) == 12).all() and not documents.draws[:, ~documents.is_test].any()
    again = Documents.split(document, 0.3, 0.15, 50, seed=0)
    assert (again.is_test == documents.is_test).all() and (again.draws == documents.draws).all()
    assert (Documents.split(document, 0.3, 0.15, 50, seed=1).is_test != documents.is_test).any()


def test_labels_are_shifted_within_their_documents():
    document = np.repeat([0, 1, 2], [6, 1, 8])
    order = shift_within(document, seed=0, name="rows")
    assert (document[order] == document).all()
    assert sorted(order) == list(range(15))
    for own in (slice(0, 6), slice(7, 15)):
        steps = np.diff(order[own]) % (own.stop - own.start)
        assert (steps == 1).all() and (order[own] != np.arange(15)[own]).all()
