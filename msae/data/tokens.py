"""Documents to token ids, batch by batch, in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from msae.core.config import require
from msae.core.errors import CorpusError
from msae.data.documents import Document

EncodeBatch = Callable[[list[str]], list[list[int]]]

SEGMENT_CHARACTERS = 1 << 16
BATCH_CHARACTERS = 1 << 18

_LINE_END = re.compile(r"(?<=\S\n)(?=\S)")
_WORD_END = re.compile(r"(?<=\S)(?=\s)")


@dataclass(frozen=True)
class TokenSpan:
    """Consecutive tokens of one document: `token_ids[i]` is token `offset + i` of document number `document`.

    Documents count from 0 in the order read. A document's spans follow one another, the first at offset 0, none empty.
    """

    document: int
    offset: int
    token_ids: Int[np.ndarray, " tokens"]

    def __post_init__(self) -> None:
        require(self.document >= 0, "document", self.document, "a document's number, from 0")
        require(self.offset >= 0, "offset", self.offset, "a token's number, from 0")
        require(len(self.token_ids) > 0, "token_ids", self.token_ids, "at least one token")


@dataclass(frozen=True)
class _Segment:
    document: int
    name: str
    text: str
    goes_on: bool
    token_ids: tuple[int, ...] | None = None


def tokenize(
    documents: Iterable[Document], encode_batch: EncodeBatch, going_on: EncodeBatch | None = None
) -> Iterator[TokenSpan]:
    """The tokens of `documents`, as spans, encoded many texts at a time.

    `encode_batch` takes texts and returns the token ids of each, without special tokens around them; `going_on` does so
    for the pieces of a long document but its first, where that differs.

    A document longer than 65,536 characters is encoded in segments cut at line ends (see `segments`), because a
    tokenizer needs hundreds of bytes a character; a tokenizer that merges across lines may differ at a cut.
    A document without a token has no span, and still counts. One that has token ids already keeps them.
    """
    document, offset = -1, 0
    for batch in _batches(_document_segments(documents)):
        for segment, token_ids in zip(batch, _encode(batch, encode_batch, going_on or encode_batch), strict=True):
            if segment.document != document:
                document, offset = segment.document, 0
            if token_ids:
                yield TokenSpan(document, offset, np.asarray(token_ids, dtype=np.int64))
                offset += len(token_ids)


def segments(text: str, limit: int = SEGMENT_CHARACTERS) -> Iterator[str]:
    """`text` cut into pieces of at most `limit` characters, which joined give `text` back.

    A cut falls at the last line end between two lines that touch it; without one, before the last blank; without
    one, at the limit.
    """
    start = 0
    while len(text) - start > limit:
        window = text[start : start + limit]
        cut = _last_cut(_LINE_END, window) or _last_cut(_WORD_END, window) or limit
        yield window[:cut]
        start += cut
    yield text[start:]


def _last_cut(pattern: re.Pattern[str], window: str) -> int:
    return max((match.start() for match in pattern.finditer(window)), default=0)


def _document_segments(documents: Iterable[Document]) -> Iterator[_Segment]:
    for index, document in enumerate(documents):
        if not isinstance(document, Document):
            raise CorpusError(
                f"expected documents, got {type(document).__name__} {document!r:.40}: "
                "wrap strings with string_documents, or use another reader of msae.data.documents"
            )
        if document.token_ids is not None:
            yield _Segment(index, document.name, "", False, document.token_ids)
            continue
        for number, text in enumerate(segments(document.text)):
            yield _Segment(index, document.name, text, number > 0)


def _batches(items: Iterable[_Segment]) -> Iterator[list[_Segment]]:
    batch: list[_Segment] = []
    characters = 0
    for segment in items:
        batch.append(segment)
        characters += len(segment.text) + len(segment.token_ids or ())
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _encode(batch: list[_Segment], encode_batch: EncodeBatch, going_on: EncodeBatch) -> list[list[int]]:
    try:
        ids: dict[bool, Iterator[list[int]]] = {}
        for goes_on, encode in ((False, encode_batch), (True, going_on)):
            texts = [segment.text for segment in batch if segment.goes_on == goes_on and segment.token_ids is None]
            ids[goes_on] = iter(encode(texts) if texts else [])
        return [
            next(ids[segment.goes_on]) if segment.token_ids is None else list(segment.token_ids) for segment in batch
        ]
    except (TypeError, UnicodeError):
        for segment in batch:
            _require_unicode(segment)
        raise


def _require_unicode(segment: _Segment) -> None:
    try:
        segment.text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"{segment.name} holds half a surrogate pair ({segment.text[error.start]!r}), which no tokenizer takes. "
            "Repair or leave out that document."
        ) from error
