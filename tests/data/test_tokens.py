from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from msae.core.errors import CorpusError
from msae.data import tokens as tokens_module
from msae.data.documents import Document, string_documents
from msae.data.tokens import segments, tokenize

LINES = "the cat sat on the mat and the dog ran after the cat\n\tand so on, said I;\n\nnothing more.\n"


def encode_characters(texts: list[str]) -> list[list[int]]:
    return [[ord(character) for character in text] for text in texts]


@pytest.fixture(scope="module")
def byte_level_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([LINES] * 4, trainer)
    return tokenizer


@given(st.text(alphabet="ab \n\té", max_size=200), st.integers(1, 30))
def test_segments_join_back_and_respect_the_limit(text, limit):
    pieces = list(segments(text, limit))
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= limit for piece in pieces[:-1]) and len(pieces[-1]) <= limit


def test_a_segment_ends_at_a_line_end_then_at_a_blank_then_anywhere():
    assert list(segments("ab\ncd ef gh", 8)) == ["ab\n", "cd ef gh"]
    assert list(segments("ab\n\ncd ef gh", 9)) == ["ab\n\ncd", " ef gh"]
    assert list(segments("abcdefgh", 3)) == ["abc", "def", "gh"]


def test_a_short_text_is_one_segment():
    assert list(segments("")) == [""]
    assert list(segments("ab\ncd")) == ["ab\ncd"]


@given(st.lists(st.text(max_size=30), max_size=12), st.integers(1, 20), st.integers(1, 40))
def test_spans_carry_every_token_with_its_document_and_offset(texts, segment_characters, batch_characters):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens_module, "BATCH_CHARACTERS", batch_characters)
        patch.setattr(tokens_module.segments, "__defaults__", (segment_characters,))
        spans = list(tokenize(string_documents(texts), encode_characters))
    found = [
        (span.document, span.offset + position, int(token))
        for span in spans
        for position, token in enumerate(span.token_ids)
    ]
    assert found == [(d, o, ord(character)) for d, text in enumerate(texts) for o, character in enumerate(text)]


def test_cutting_at_line_ends_leaves_byte_level_tokens_as_they_are(byte_level_tokenizer):
    text = LINES * 300
    whole = byte_level_tokenizer.encode(text).ids
    cut = [token for piece in segments(text, 1000) for token in byte_level_tokenizer.encode(piece).ids]
    assert len(list(segments(text, 1000))) > 20
    assert cut == whole


def test_a_ten_megabyte_document_is_encoded_in_bounded_pieces(byte_level_tokenizer):
    longest = 0

    def encode(texts: list[str]) -> list[list[int]]:
        nonlocal longest
        longest = max(longest, sum(map(len, texts)))
        return [[1] * (len(text) // 4) for text in texts]

    text = LINES * (10_000_000 // len(LINES))
    tracemalloc.start()
    n_tokens = sum(len(span.token_ids) for span in tokenize([Document("long", text)], encode))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_tokens == pytest.approx(len(text) / 4, rel=1e-3)
    assert longest <= tokens_module.BATCH_CHARACTERS + tokens_module.SEGMENT_CHARACTERS
    assert peak < 8_000_000


def test_a_string_in_place_of_a_document_is_named():
    with pytest.raises(CorpusError, match="string_documents"):
        list(tokenize(iter(["not a document"]), encode_characters))  # type: ignore[arg-type]


def test_half_a_surrogate_pair_names_its_document(byte_level_tokenizer):
    def encode(texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in byte_level_tokenizer.encode_batch(texts)]

    with pytest.raises(CorpusError, match=r"broken.*surrogate"):
        list(tokenize([Document("fine", "a"), Document("broken", "b\ud800")], encode))


def test_token_ids_are_int64():
    (span,) = tokenize([Document("a", "bc")], encode_characters)
    assert span.token_ids.dtype == np.int64
