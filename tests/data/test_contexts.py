from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msae.core.errors import ConfigError
from msae.data.contexts import PackedContexts, pack_causal, pack_encoder
from msae.data.tokens import TokenSpan

BOS, SEP, PAD, SPECIAL = 1, 2, 0, 3
FIRST_TEXT_TOKEN = 10

documents_of_tokens = st.lists(st.lists(st.integers(FIRST_TEXT_TOKEN, 60), max_size=25), max_size=12)


def spans_of(documents: list[list[int]], longest: int = 7) -> list[TokenSpan]:
    return [
        TokenSpan(number, start, np.array(tokens[start : start + longest]))
        for number, tokens in enumerate(documents)
        for start in range(0, len(tokens), longest)
    ]


def joined(batches: list[PackedContexts]) -> dict[str, np.ndarray]:
    return {
        name: np.concatenate([getattr(batch, name) for batch in batches])
        for name in ("token_ids", "document", "offset", "attention")
    }


def text_positions(packed: dict[str, np.ndarray]) -> list[tuple[int, int, int]]:
    kept = packed["document"] >= 0
    return list(zip(*(packed[name][kept].tolist() for name in ("document", "offset", "token_ids")), strict=True))


def tokens_in_order(documents: list[list[int]]) -> list[tuple[int, int, int]]:
    return [(number, offset, token) for number, tokens in enumerate(documents) for offset, token in enumerate(tokens)]


def causal(documents: list[list[int]], **settings: object) -> list[PackedContexts]:
    defaults = {"context_size": 6, "batch_size": 2, "bos_id": BOS, "pad_id": PAD}
    return list(pack_causal(spans_of(documents), **{**defaults, **settings}))  # type: ignore[arg-type]


def encoder(documents: list[list[int]], **settings: object) -> list[PackedContexts]:
    defaults = {"context_size": 6, "batch_size": 2, "cls_id": BOS, "sep_id": SEP, "pad_id": PAD}
    return list(pack_encoder(spans_of(documents), **{**defaults, **settings}))  # type: ignore[arg-type]


class TestCausalByHand:
    def test_contexts_open_with_bos_and_bos_separates_documents(self):
        (batch,) = causal([[11, 12, 13], [21, 22, 23, 24]], batch_size=8)
        assert batch.token_ids.tolist() == [[BOS, 11, 12, 13, BOS, 21], [BOS, 22, 23, 24, PAD, PAD]]
        assert batch.document.tolist() == [[-1, 0, 0, 0, -1, 1], [-1, 1, 1, 1, -1, -1]]
        assert batch.offset.tolist() == [[-1, 0, 1, 2, -1, 0], [-1, 1, 2, 3, -1, -1]]
        assert batch.attention.tolist() == [[True] * 6, [True] * 4 + [False] * 2]

    def test_without_a_bos_between_documents(self):
        (batch,) = causal([[11, 12, 13], [21, 22]], bos_between_documents=False)
        assert batch.token_ids.tolist() == [[BOS, 11, 12, 13, 21, 22]]

    def test_a_model_without_bos_gets_none(self):
        (batch,) = causal([[11, 12, 13], [21, 22, 23]], bos_id=None)
        assert batch.token_ids.tolist() == [[11, 12, 13, 21, 22, 23]]

    def test_a_document_that_opens_a_context_gets_one_bos_not_two(self):
        (batch,) = causal([[11, 12, 13, 14, 15], [21]])
        assert batch.token_ids.tolist() == [[BOS, 11, 12, 13, 14, 15], [BOS, 21, PAD, PAD, PAD, PAD]]

    def test_an_empty_document_leaves_no_trace_but_counts(self):
        (batch,) = causal([[11], [], [31]])
        assert batch.token_ids[0, :4].tolist() == [BOS, 11, BOS, 31]
        assert batch.document[0, :4].tolist() == [-1, 0, -1, 2]

    def test_a_special_token_inside_a_document_is_left_out_and_takes_its_offset(self):
        (batch,) = causal([[11, SPECIAL, 13]], special_ids={SPECIAL})
        assert batch.token_ids[0, :4].tolist() == [BOS, 11, SPECIAL, 13]
        assert batch.document[0, :4].tolist() == [-1, 0, -1, 0]
        assert batch.offset[0, :4].tolist() == [-1, 0, -1, 2]


class TestEncoderByHand:
    def test_one_document_a_context_between_cls_and_sep(self):
        (batch,) = encoder([[11, 12], [21, 22, 23, 24]])
        assert batch.token_ids.tolist() == [[BOS, 11, 12, SEP, PAD, PAD], [BOS, 21, 22, 23, 24, SEP]]
        assert batch.document.tolist() == [[-1, 0, 0, -1, -1, -1], [-1, 1, 1, 1, 1, -1]]
        assert batch.attention.tolist() == [[True] * 4 + [False] * 2, [True] * 6]

    def test_a_long_document_goes_on_in_the_next_context(self):
        (batch,) = encoder([[11, 12, 13, 14, 15]])
        assert batch.token_ids.tolist() == [[BOS, 11, 12, 13, 14, SEP], [BOS, 15, SEP, PAD, PAD, PAD]]
        assert batch.offset.tolist() == [[-1, 0, 1, 2, 3, -1], [-1, 4, -1, -1, -1, -1]]


@given(documents_of_tokens, st.integers(2, 9), st.integers(1, 4), st.booleans(), st.booleans())
def test_causal_packing_keeps_every_token_once_and_in_order(documents, context_size, batch_size, has_bos, separate):
    batches = causal(
        documents,
        context_size=context_size,
        batch_size=batch_size,
        bos_id=BOS if has_bos else None,
        bos_between_documents=separate,
    )
    if not any(documents):
        assert batches == []
        return
    packed = joined(batches)
    assert text_positions(packed) == tokens_in_order(documents)
    assert packed["token_ids"].shape[1] == context_size
    assert all(len(batch) == batch_size for batch in batches[:-1]) and 1 <= len(batches[-1]) <= batch_size
    assert packed["attention"][:-1].all(), "only the last context is padded"
    nowhere = packed["document"] < 0
    assert (packed["offset"][nowhere] == -1).all()
    assert set(packed["token_ids"][nowhere & packed["attention"]].tolist()) <= ({BOS} if has_bos else set())
    assert (packed["token_ids"][~packed["attention"]] == PAD).all()
    if has_bos:
        assert (packed["token_ids"][:, 0] == BOS).all()


@given(documents_of_tokens, st.integers(2, 9))
def test_with_a_separator_neighbouring_tokens_of_two_documents_never_touch(documents, context_size):
    for batch in causal(documents, context_size=context_size):
        left, right = batch.document[:, :-1], batch.document[:, 1:]
        assert not ((left >= 0) & (right >= 0) & (left != right)).any()


@given(documents_of_tokens, st.integers(3, 9), st.integers(1, 4))
def test_encoder_packing_keeps_every_token_once_and_one_document_a_context(documents, context_size, batch_size):
    batches = encoder(documents, context_size=context_size, batch_size=batch_size)
    if not any(documents):
        assert batches == []
        return
    packed = joined(batches)
    assert text_positions(packed) == tokens_in_order(documents)
    for tokens, document, attention in zip(packed["token_ids"], packed["document"], packed["attention"], strict=True):
        length = int(attention.sum())
        assert tokens[0] == BOS and tokens[length - 1] == SEP and not attention[length:].any()
        assert len(set(document[document >= 0])) == 1
        assert (document[1 : length - 1] >= 0).all()


@given(documents_of_tokens, st.integers(1, 5), st.integers(6, 30))
def test_how_a_document_is_cut_into_spans_changes_nothing(documents, short, long):
    for pack, settings in (
        (pack_causal, {"bos_id": BOS, "pad_id": PAD}),
        (pack_encoder, {"cls_id": BOS, "sep_id": SEP, "pad_id": PAD}),
    ):
        ways = [
            list(pack(spans_of(documents, longest), context_size=5, batch_size=3, **settings))
            for longest in (short, long)
        ]
        assert len(ways[0]) == len(ways[1])
        for one, other in zip(*ways, strict=True):
            for name in ("token_ids", "document", "offset", "attention"):
                assert np.array_equal(getattr(one, name), getattr(other, name))


@given(documents_of_tokens)
def test_the_batch_size_changes_only_the_batching(documents):
    if any(documents):
        small, large = joined(causal(documents, batch_size=1)), joined(causal(documents, batch_size=100))
        assert all(np.array_equal(small[name], large[name]) for name in small)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: causal([[11]], context_size=1), "context_size"),
        (lambda: causal([[11]], context_size=0, bos_id=None), "context_size"),
        (lambda: causal([[11]], batch_size=0), "batch_size"),
        (lambda: encoder([[11]], context_size=2), "context_size"),
        (lambda: TokenSpan(0, 0, np.array([], dtype=int)), "token_ids"),
    ],
)
def test_impossible_sizes_are_refused(call, field):
    with pytest.raises(ConfigError, match=field):
        call()
