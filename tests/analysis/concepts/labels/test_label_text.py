"""Labels on rows: tokens that hold a byte of what is labelled, whatever the tokenizer cuts characters into."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from msae.analysis.concepts.labels import Concept, Labels, joined, label_text
from msae.analysis.concepts.labels.spans import tokens_in
from msae.analysis.concepts.labels.texts import pieces
from msae.core.errors import ConfigError, EvaluationError


def labelled(byte_text, rows, name: str, labels: Labels) -> str:
    """The text of the labelled tokens, in order; a token here is a byte."""
    ids = rows.tokens(0, labels.n_rows).token_id[labels.rows[name]].tolist()
    return b"".join(byte_text.encoded(ids)).decode()


def test_python_is_seen_and_split_characters_are_labelled_whole(byte_text, rows_of_texts):
    rows = rows_of_texts(("def größe(n):\n    '''四 Ü.'''\n    return n\n\nx = größe(2)  # ßa\n",))
    labels = label_text(rows, rows.n_rows, byte_text)
    assert labelled(byte_text, rows, "name of a function defined", labels) == "größe"
    assert labelled(byte_text, rows, "name called", labels) == "größe"
    assert labelled(byte_text, rows, "docstring", labels) == "'''四 Ü.'''"
    assert labelled(byte_text, rows, "keyword", labels) == "defreturn"
    assert labelled(byte_text, rows, "first letters, words in comments", labels) == "四Üß"
    assert labelled(byte_text, rows, "g… (names)", labels) == "gg"
    assert labels.notes == (
        "1 of 1 documents are labelled (Python, first letter, names, first letter, keywords, first letter, words in "
        "comments).",
    )


def test_any_other_text_gets_the_first_letters_of_its_words(byte_text, rows_of_texts):
    rows = rows_of_texts(("To be, or not to be,\n", "Ödes 2nd Thing\n"))
    labels = label_text(rows, rows.n_rows, byte_text)
    assert {concept.family for concept in labels.concepts} == {"first letter, words"}
    assert labelled(byte_text, rows, "first letters, words", labels) == "TbontbÖnT"
    assert labelled(byte_text, rows, "t… (words)", labels) == "TtT"


def test_the_contexts_a_store_holds_out_complete_its_texts(harvested):
    store, text = harvested.store, harvested.text
    whole = list(pieces(store, store.n_rows, text))
    assert [piece.text for piece in whole[:4]] == list(harvested.documents[:4])
    assert any((piece.row < 0).any() for piece in whole)  # some tokens are not the store's own
    labels = label_text(store, store.n_rows, text)
    defs = labels.rows["keyword def"]
    offsets = store.tokens(0, store.n_rows).offset.numpy()[defs]
    assert set(offsets.tolist()) <= {0, 1, 2} and len(defs) > 0


def test_a_sample_of_fewer_rows_is_labelled_as_far_as_it_goes(byte_text, rows_of_texts):
    rows = rows_of_texts(("a = 1\nb = 2\nc = 3\nd = 4\n",))
    labels = label_text(rows, 18, byte_text)
    assert labels.n_rows == 18
    assert labelled(byte_text, rows, "name", labels) == "abc"
    assert label_text(rows, rows.n_rows, byte_text).first(18).rows["name"].tolist() == labels.rows["name"].tolist()


def test_a_piece_that_begins_inside_a_character(byte_text, rows_of_texts):
    rows = rows_of_texts(("é = 1\nb = 2\nc = 3\n",))
    tokens = rows.tokens(1, rows.n_rows)
    rows = type(rows)(rows.rows(1, rows.n_rows), tokens)
    (piece,) = pieces(rows, rows.n_rows, byte_text)
    assert piece.text.startswith("? = 1\n") and piece.offset == 1
    assert len(piece.bounds) == rows.n_rows + 1


@pytest.mark.parametrize(
    ("spans", "tokens"),
    [([(0, 1)], [0]), ([(2, 3)], [1]), ([(3, 5)], [2, 3]), ([(1, 4)], [0, 1, 2]), ([(4, 4)], []), ([], [])],
)
def test_tokens_that_hold_a_byte_of_a_span(spans, tokens):
    bounds = np.array([0, 2, 3, 4, 4, 9])  # token 3 holds nothing
    expected = [4 if token == 3 else token for token in tokens]
    assert tokens_in(spans, bounds).tolist() == expected


def test_labels_are_joined_and_checked():
    def part(name: str, rows: list[int], n_rows: int = 5) -> Labels:
        concept = Concept(name=name, family="f", within="all")
        return Labels(concepts=(concept,), rows={name: np.array(rows), "all": np.arange(5)}, n_rows=n_rows)

    both = joined([part("a", [1]), part("b", [2, 3])])
    assert [concept.name for concept in both.concepts] == ["a", "b"] and both.rows["b"].tolist() == [2, 3]
    assert both.shown_by("b", np.array([0, 2])).tolist() == [False, True]
    with pytest.raises(EvaluationError, match="named twice"):
        joined([part("a", [1]), part("a", [1])])
    with pytest.raises(EvaluationError, match="different rows"):
        joined([part("a", [1]), replace(part("b", [1]), rows={"b": np.array([1]), "all": np.arange(4)})])
    with pytest.raises(EvaluationError, match="same rows"):
        joined([part("a", [1]), part("b", [1], n_rows=4)])


def test_refusals(byte_text, rows_of_texts):
    rows = rows_of_texts(("abc",))
    with pytest.raises(ConfigError, match="n_rows"):
        label_text(rows, 4, byte_text)
    rows.tokens(0, 3).token_id[0] = 10_000
    with pytest.raises(EvaluationError, match="another model's"):
        label_text(rows, 3, byte_text)
