from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msae.analysis.levels import next_token
from msae.analysis.levels.next_token import Predictions, counts, cross_entropy


def test_which_predictions_count(toys):
    # BOS a b c BOS a b PAD, and two documents with nothing between them.
    batch = toys.batch_of([[0] * 8, [0] * 8], [[-1, 0, 0, 0, -1, 1, 1, -1], [0, 0, 1, 1, 1, -1, -1, 2]])
    assert counts(batch).tolist() == [
        [False, True, True, False, False, True, False, False],
        [True, False, True, True, False, False, False, False],
    ]


def test_by_hand(toys):
    # From token 1 the model says (1/4, 3/4), the other one (1/2, 1/2); what follows is token 1, then token 0.
    batch = toys.batch_of([[1, 1, 0]], [[0, 0, 0]])
    mine = torch.tensor([0.0, math.log(3)]).expand(1, 3, 2)
    other = torch.zeros(1, 3, 2)
    predictions = Predictions(batch, mine)
    assert len(predictions) == 2
    assert predictions.cross_entropy() == pytest.approx(math.log(4 / 3) + math.log(4))
    surprise, divergence = predictions.compare(other)
    assert surprise == pytest.approx(2 * math.log(2))
    assert divergence == pytest.approx(2 * (0.25 * math.log(0.5) + 0.75 * math.log(1.5)))


@given(st.integers(0, 2**31))
def test_laws(toys, seed):
    generator = torch.Generator().manual_seed(seed)
    batch = toys.batch_of(
        torch.randint(7, (3, 5), generator=generator).tolist(),
        torch.randint(-1, 2, (3, 5), generator=generator).tolist(),
    )
    mine, other = torch.randn(2, 3, 5, 7, generator=generator) * 4
    predictions = Predictions(batch, mine)
    surprise, divergence = predictions.compare(other)
    assert predictions.compare(mine)[1] == 0
    assert divergence >= -1e-6
    assert surprise == pytest.approx(cross_entropy(batch, other))
    assert predictions.cross_entropy() == pytest.approx(predictions.compare(mine)[0])
    # Adding a constant to every logit changes nothing.
    assert cross_entropy(batch, other + 3) == pytest.approx(surprise, abs=1e-4)


def test_equals_torch_on_one_document(toys):
    token_ids = torch.randint(11, (4, 9), generator=torch.Generator().manual_seed(0))
    batch = toys.batch_of(token_ids.tolist(), [[number] * 9 for number in range(4)])
    logits = torch.randn(4, 9, 11, generator=torch.Generator().manual_seed(1))
    expected = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), token_ids[:, 1:].flatten(), reduction="sum"
    )
    assert cross_entropy(batch, logits) == pytest.approx(expected.item(), rel=1e-5)


def test_chunks_make_no_difference(toys, monkeypatch):
    batch = toys.batch_of([[1, 2, 3, 4, 5, 6]] * 3, [[0] * 6] * 3)
    mine, other = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(2))
    whole = (*Predictions(batch, mine).compare(other), Predictions(batch, mine).cross_entropy())
    monkeypatch.setattr(next_token, "CHUNK_NUMBERS", 20)
    assert (*Predictions(batch, mine).compare(other), Predictions(batch, mine).cross_entropy()) == pytest.approx(whole)


def test_half_precision_logits_are_compared_in_float32(toys):
    batch = toys.batch_of([[1, 2, 3]], [[0, 0, 0]])
    logits = torch.tensor([0.0, 9.0, 1.0, 2.0]).expand(1, 3, 4)
    assert cross_entropy(batch, logits.bfloat16()) == cross_entropy(batch, logits)


def test_no_prediction_counts(toys):
    batch = toys.batch_of([[0, 1, 0, 2]], [[-1, 0, -1, 1]])
    logits = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    predictions = Predictions(batch, logits)
    assert len(predictions) == 0
    assert predictions.compare(logits) == (0.0, 0.0)
