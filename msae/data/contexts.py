"""Token spans packed into contexts of one size, every position traced to its document and token offset.

Pure functions on numpy arrays: the same spans always give the same contexts. No text is lost: what does not fill a
context is padded, never dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from msae.core.config import require
from msae.data.tokens import TokenSpan

NOWHERE = -1
"""The document and the offset of a position that belongs to no document: a special token or padding."""


@dataclass(frozen=True, kw_only=True)
class PackedContexts:
    """Contexts, and where each of their positions comes from.

    `document` and `offset` are −1 at special tokens and padding; `attention` is False at padding only.
    """

    token_ids: Int[np.ndarray, "contexts context"]
    document: Int[np.ndarray, "contexts context"]
    offset: Int[np.ndarray, "contexts context"]
    attention: Bool[np.ndarray, "contexts context"]

    def __len__(self) -> int:
        return len(self.token_ids)


def pack_causal(
    spans: Iterable[TokenSpan],
    *,
    context_size: int,
    batch_size: int,
    bos_id: int | None,
    pad_id: int,
    bos_between_documents: bool = True,
    special_ids: Collection[int] = (),
) -> Iterator[PackedContexts]:
    """Contexts for a causal model: documents one after another, cut wherever a context is full.

    A context opens with `bos_id` (unless None), and BOS also comes between two documents of one context (unless
    `bos_between_documents` is False). Only the last context of all is padded, on the right, with `pad_id`. A token of
    `special_ids` met inside a document stays where it is, takes up its offset, and is marked as belonging to none.
    Batches hold `batch_size` contexts, the last one maybe fewer.
    """
    opening = 0 if bos_id is None else 1
    require(context_size > opening, "context_size", context_size, f"at least {opening + 1} tokens")
    require(batch_size > 0, "batch_size", batch_size, "a positive number of contexts")
    body = context_size - opening
    stream = _Stream()
    for span in spans:
        if span.offset == 0 and bos_id is not None and bos_between_documents and stream.emitted % body:
            stream.append_special(bos_id)
        stream.append(span, special_ids)
        while stream.waiting >= body * batch_size:
            yield _with_opening(stream.take(body * batch_size), body, bos_id)
    if stream.waiting:
        stream.pad(-stream.waiting % body, pad_id)
        yield _with_opening(stream.take(stream.waiting), body, bos_id)


def pack_encoder(
    spans: Iterable[TokenSpan],
    *,
    context_size: int,
    batch_size: int,
    cls_id: int | None,
    sep_id: int | None,
    pad_id: int,
    special_ids: Collection[int] = (),
) -> Iterator[PackedContexts]:
    """Contexts for an encoder: [CLS], tokens of one document, [SEP], padding on the right; None leaves one of them out.

    A document that does not fit into one context goes on in the next. A token of `special_ids` met inside
    a document stays where it is, takes up its offset, and is marked as belonging to none.
    Batches hold `batch_size` contexts, the last one maybe fewer.
    """
    around = sum(token is not None for token in (cls_id, sep_id))
    require(context_size > around, "context_size", context_size, f"at least {around + 1} tokens: one of text")
    require(batch_size > 0, "batch_size", batch_size, "a positive number of contexts")
    stream = _Stream()
    for pieces in _document_pieces(spans, context_size - around):
        if cls_id is not None:
            stream.append_special(cls_id)
        for piece in pieces:
            stream.append(piece, special_ids)
        if sep_id is not None:
            stream.append_special(sep_id)
        stream.pad(-stream.waiting % context_size, pad_id)
        if stream.waiting >= context_size * batch_size:
            yield _contexts(stream.take(stream.waiting), context_size)
    if stream.waiting:
        yield _contexts(stream.take(stream.waiting), context_size)


def _document_pieces(spans: Iterable[TokenSpan], size: int) -> Iterator[list[TokenSpan]]:
    """Spans regrouped so that each group holds up to `size` consecutive tokens of one document."""
    group: list[TokenSpan] = []
    room = size
    for span in spans:
        if group and (span.offset == 0 or room == 0):
            yield group
            group, room = [], size
        start = 0
        while len(span.token_ids) - start > room:
            yield [*group, _slice(span, start, start + room)]
            group, start, room = [], start + room, size
        group.append(_slice(span, start, len(span.token_ids)))
        room -= len(span.token_ids) - start
    if group:
        yield group


def _slice(span: TokenSpan, start: int, stop: int) -> TokenSpan:
    return TokenSpan(span.document, span.offset + start, span.token_ids[start:stop])


class _Stream:
    """A queue of positions: token id, document, offset, attention."""

    def __init__(self) -> None:
        self.emitted = 0
        self.waiting = 0
        self._pieces: list[np.ndarray] = []

    def append(self, span: TokenSpan, special_ids: Collection[int]) -> None:
        token_ids = span.token_ids
        offset = np.arange(span.offset, span.offset + len(token_ids))
        document = np.full(len(token_ids), span.document)
        if special_ids:
            special = np.isin(token_ids, list(special_ids))
            document[special] = offset[special] = NOWHERE
        self._push(np.stack([token_ids, document, offset, np.ones_like(token_ids)]))

    def append_special(self, token_id: int) -> None:
        self._push(np.array([[token_id], [NOWHERE], [NOWHERE], [1]]))

    def pad(self, length: int, pad_id: int) -> None:
        self._push(np.repeat([[pad_id], [NOWHERE], [NOWHERE], [0]], length, axis=1))

    def take(self, length: int) -> np.ndarray:
        joined = np.concatenate(self._pieces, axis=1) if len(self._pieces) > 1 else self._pieces[0]
        self._pieces = [joined[:, length:]]
        self.waiting -= length
        return joined[:, :length]

    def _push(self, piece: np.ndarray) -> None:
        self._pieces.append(piece)
        self.emitted += piece.shape[1]
        self.waiting += piece.shape[1]


def _with_opening(positions: np.ndarray, body: int, bos_id: int | None) -> PackedContexts:
    contexts = positions.reshape(4, -1, body)
    if bos_id is not None:
        opening = np.broadcast_to(np.array([bos_id, NOWHERE, NOWHERE, 1]).reshape(4, 1, 1), (4, contexts.shape[1], 1))
        contexts = np.concatenate([opening, contexts], axis=2)
    return _contexts(contexts, contexts.shape[2])


def _contexts(positions: np.ndarray, context_size: int) -> PackedContexts:
    token_ids, document, offset, attention = positions.reshape(4, -1, context_size)
    return PackedContexts(token_ids=token_ids, document=document, offset=offset, attention=attention.astype(bool))
