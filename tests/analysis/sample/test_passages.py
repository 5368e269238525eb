"""Passages: what is shown around a row is what the model had read, and where it had not there is a border."""

from __future__ import annotations

import numpy as np
import torch

from msae.activations.store import RowTokens
from msae.analysis.sample import ArrayRows, Origin, token_text
from msae.analysis.sample.passages import Passages


def origin_of(position: list[int] | None) -> Origin:
    """Two documents of six tokens, numbered through."""
    tokens = RowTokens(
        token_id=torch.arange(12),
        document=torch.arange(12) // 6,
        offset=torch.arange(12) % 6,
        position=None if position is None else torch.tensor(position),
    )
    return Origin.of(ArrayRows(torch.zeros(12, 1), tokens), 12)


CONTEXTS = [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]  # of four tokens, behind BOS


def around(origin: Origin, reach: int) -> tuple[list[list[int]], dict]:
    columns = Passages.of(origin, np.arange(12), reach).columns(None)
    return columns["context_ids"].to_pylist(), columns


def test_a_passage_holds_only_what_the_model_had_read_in_that_context():
    ids, columns = around(origin_of(CONTEXTS), reach=3)
    assert ids[4] == ids[5] == [4, 5]  # a context's first token, and the last of the document
    assert ids[6] == [6, 7] and ids[8] == [8, 9, 10, 11] and ids[3] == [0, 1, 2, 3]
    assert columns["position"].tolist()[4] == 0
    assert columns["context_opens"].tolist() == [True] * 6 + [False] * 2 + [True] * 4
    assert columns["context_closes"].tolist() == [True] * 4 + [False] * 2 + [True] * 2 + [False] * 4


def test_a_border_further_away_than_the_reach_is_none():
    _, columns = around(origin_of(CONTEXTS), reach=1)
    assert columns["context_opens"].tolist()[:4] == [True, True, False, False]
    assert columns["context_closes"].tolist()[:4] == [False, False, True, True]


def test_where_contexts_are_unknown_there_is_no_border():
    ids, columns = around(origin_of(None), reach=3)
    assert ids[4] == [1, 2, 3, 4, 5]
    assert columns["context_opens"].to_pylist() == columns["context_closes"].to_pylist() == [None] * 12


def test_rows_that_are_contexts_by_themselves_have_no_borders():
    assert origin_of([0] * 12).opens_context is None


def test_a_character_that_goes_on_in_another_context_is_whole(gpt2):
    """A token is a byte here: é is two, and a context begins with the second."""
    tokenizer = gpt2().tokenizer
    ids = torch.tensor(tokenizer("aéb", add_special_tokens=False)["input_ids"])
    tokens = RowTokens(token_id=ids, document=0 * ids, offset=torch.arange(4), position=torch.tensor([0, 1, 0, 1]))
    origin = Origin.of(ArrayRows(torch.zeros(4, 1), tokens), 4)
    columns = Passages.of(origin, np.arange(4), 5).columns(token_text(tokenizer))
    assert columns["context_tokens"].to_pylist() == [["a", ""]] * 2 + [["é", "b"]] * 2
    assert columns["token"].to_pylist() == ["a", "é", "é", "b"]
