"""Labels on rows: tokens that hold a byte of what is labelled, whatever the tokenizer cuts characters into."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from msae.analysis.concepts.labels import Concept, Labels, joined, label_text
from msae.analysis.concepts.labels.spans import cut_at, tokens_in
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


def test_the_contexts_of_a_holdout_are_read_with_their_stores_around_them(harvested):
    """The texts are the same from either side: what one has as rows, the other has not."""
    store, text = harvested.store, harvested.text
    holdout = store.holdout
    own, rest = list(pieces(store, store.n_rows, text)), list(pieces(holdout, holdout.n_rows, text))
    whole = {(piece.document, piece.offset): piece for piece in own}
    assert rest and sum(int((piece.row >= 0).sum()) for piece in rest) == holdout.n_rows
    for piece in rest:
        if (same := whole.get((piece.document, piece.offset))) is not None:
            assert same.text == piece.text and ((same.row >= 0) ^ (piece.row >= 0)).all()
    assert any((piece.document, piece.offset) in whole for piece in rest)
    labels = label_text(holdout, holdout.n_rows, text)
    assert {concept.family for concept in labels.concepts} >= {"Python"}


def contexts_of(rows, size: int):
    """The same rows, read in contexts of `size` tokens."""
    tokens = rows.tokens(0, rows.n_rows)
    return type(rows)(rows.rows(0, rows.n_rows), replace(tokens, position=tokens.offset % size))


def test_a_concept_ends_where_the_model_begins_anew(byte_text, rows_of_texts):
    """The second context begins within a docstring in a class: its rows are neither inside nor outside, up to the line
    at the margin, and the rest of the docstring is no Python of either kind."""
    before = "class A:\n    def one(self):\n        '''Some\n        wo"
    text = before + "rds.'''\n        return 1\n\n\nx = 1\ny = 2\nz = 3\n"
    rows = rows_of_texts((text,))
    whole, read = (label_text(own, rows.n_rows, byte_text) for own in (rows, contexts_of(rows, len(before))))
    border, margin = len(before), text.index("x = ")
    assert labelled(byte_text, rows, "docstring", whole) == "'''Some\n        words.'''"
    assert labelled(byte_text, rows, "docstring", read) == "'''Some\n        wo"
    python, code = read.rows["Python that parses"].tolist(), text.index("        return")
    assert {border - 1, code} <= set(python) and not set(range(border, code)) & set(python)
    assert labelled(byte_text, rows, "keyword", read) == labelled(byte_text, rows, "keyword", whole) == "classdefreturn"
    assert max(whole.rows["inside a method"]) > border > max(read.rows["inside a method"])
    known = read.rows["Python whose surroundings are known"].tolist()
    assert not set(range(border, margin)) & set(known) and margin in known
    assert read.notes[1].startswith(f"{margin - border} rows are left out: a concept goes on there")


def test_a_word_is_labelled_at_its_first_letter_alone_wherever_a_context_begins(byte_text, rows_of_texts):
    rows = rows_of_texts(("One whole word and some others",))
    read = label_text(contexts_of(rows, 7), rows.n_rows, byte_text)  # "One who|le word| and so|me othe|rs"
    assert labelled(byte_text, rows, "first letters, words", read) == "Owwaso"


def test_spans_are_cut_at_the_first_place_inside():
    assert cut_at([(0, 4), (2, 9), (5, 7)], [3, 6]) == ([(0, 3), (2, 3), (5, 6)], [(3, 4), (3, 9), (6, 7)])
    assert cut_at([(3, 6), (0, 3)], [3, 6]) == ([(3, 6), (0, 3)], [])


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
