"""A user's own labels, by token and by character."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import BertTokenizerFast

from msae.analysis.concepts.labels import given_labels, read_labels
from msae.analysis.concepts.labels.given import LABELLED
from msae.analysis.sample import TokenText
from msae.core.errors import EvaluationError

TEXTS = ("Der Löwe schläft.", "Die Löwin auch.", "Nichts.")


@pytest.fixture
def rows(rows_of_texts):
    return rows_of_texts(TEXTS)


def table(**columns: list) -> pa.Table:
    return pa.table(columns)


def said(byte_text, rows, labels, name: str) -> str:
    ids = rows.tokens(0, labels.n_rows).token_id[labels.rows[name]].tolist()
    return b"".join(byte_text.encoded(ids)).decode()


def test_characters_are_found_whatever_their_bytes(rows, byte_text):
    given = table(document=["0", "1", "0"], start=[4, 4, 9], end=[8, 9, 16], label=["lion", "lioness", "sleeps"])
    labels = given_labels(given, rows, rows.n_rows, byte_text)
    assert said(byte_text, rows, labels, "lion") == "Löwe"
    assert said(byte_text, rows, labels, "lioness") == "Löwin"
    assert said(byte_text, rows, labels, "sleeps") == "schläft"
    assert said(byte_text, rows, labels, LABELLED) == "".join(TEXTS[:2])  # the third has none and is left out
    assert labels.notes == ("2 documents have labels given in the table of labels.",)


def test_tokens_by_their_offset_and_documents_by_their_number(rows, byte_text):
    labels = given_labels(table(document=[1, 0, 7], offset=[0, 99, 0], label=["d", "d", "d"]), rows, rows.n_rows)
    assert said(byte_text, rows, labels, "d") == "D"
    assert labels.notes[1] == "2 of its 3 rows name no token of the sample."


def test_a_parent_holds_wherever_its_children_do(rows):
    given = table(
        document=[0, 0, 1],
        offset=[0, 1, 2],
        label=["cat", "dog", "being"],
        parent=["animal", "animal", None],
        within=[None, "being", None],
    )
    with_parents = given_labels(given, rows, rows.n_rows)
    by_name = {concept.name: concept for concept in with_parents.concepts}
    assert by_name["cat"].parent == by_name["dog"].parent == "animal"
    assert with_parents.rows["animal"].tolist() == [0, 1]
    assert by_name["dog"].within == "being" and with_parents.rows["dog"].tolist() == []  # none of them is a being


def test_from_a_file_too(rows, byte_text, tmp_path):
    pq.write_table(table(document=["2"], start=[0], end=[6], label=["nothing"]), tmp_path / "concepts.parquet")
    labels = read_labels(tmp_path / "concepts.parquet", rows, rows.n_rows, byte_text)
    assert said(byte_text, rows, labels, "nothing") == "Nichts"


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"document": [0], "offset": [0]}, "no column 'label'"),
        ({"document": [0], "label": ["a"]}, "needs a column 'offset'"),
        ({"document": [0], "offset": [0], "start": [0], "end": [1], "label": ["a"]}, "not both"),
        ({"document": ["elsewhere"], "offset": [0], "label": ["a"]}, "labels no document of this store"),
        ({"document": [0], "offset": [500], "label": ["a"]}, "no token of the first"),
        ({"document": [0], "offset": [-1], "label": ["a"]}, "counted from 0"),
        ({"document": [0], "start": [3], "end": [3], "label": ["a"]}, "no span"),
        ({"document": [0], "offset": [None], "label": ["a"]}, "row 0 .* has no 'offset'"),
        ({"document": [0, 0], "offset": [0, 1], "label": ["a", "a"], "parent": ["b", "c"]}, "more than one 'parent'"),
        ({"document": [0, 0], "offset": [0, 1], "label": ["a", "b"], "parent": ["b", "a"]}, "above itself"),
        ({"document": [0], "offset": [0], "label": ["a"], "within": ["b"]}, "labels nothing"),
    ],
)
def test_refusals(columns, match, rows, byte_text):
    with pytest.raises(EvaluationError, match=match):
        given_labels(table(**columns), rows, rows.n_rows, byte_text)


def test_characters_need_a_tokenizer_that_keeps_them(rows):
    given = table(document=[0], start=[0], end=[1], label=["a"])
    with pytest.raises(EvaluationError, match="no tokenizer here"):
        given_labels(given, rows, rows.n_rows)
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "##s"]
    tokenizer = BertTokenizerFast(vocab={token: i for i, token in enumerate(vocab)})
    with pytest.raises(EvaluationError, match="does not keep them"):
        given_labels(given, rows, rows.n_rows, TokenText(tokenizer))
    with pytest.raises(EvaluationError, match="does not exist"):
        read_labels("nowhere.parquet", rows, rows.n_rows)
