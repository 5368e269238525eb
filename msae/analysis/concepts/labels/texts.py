"""The texts of a sample, put together again from its tokens, and the rows that hold each of their bytes.

A store sets whole contexts aside in its holdout; the tokens of one are put back between those of the other, so that a
document is whole where it was harvested. What neither has, such as a special token, ends a piece of text and begins
another.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from msae.activations.manifest import MANIFEST
from msae.activations.store import ActivationStore, RowTokens
from msae.analysis.sample import Rows, TokenText
from msae.core.config import require
from msae.core.errors import EvaluationError

NOT_A_ROW = -1


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Consecutive tokens of one document and their text. Token i is token `offset` + i of the document and holds the
    UTF-8 bytes bounds[i] … bounds[i + 1] − 1 of `text`; its row is `row[i]`, or −1 when the sample has none.

    `starts`: the bytes, but for the first, at which the model begins a context: it had read nothing of what is before.
    Empty where contexts are unknown.
    """

    document: int
    offset: int
    text: str
    bounds: Int[np.ndarray, " tokens_and_one"]
    row: Int[np.ndarray, " tokens"]
    starts: tuple[int, ...] = ()

    def rows_of(self, tokens: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
        """The rows of those of `tokens` (counted from the piece's first) that have one."""
        rows = self.row[tokens]
        return rows[rows != NOT_A_ROW]


def pieces(rows: Rows, n_rows: int, text: TokenText) -> Iterator[Piece]:
    """The texts behind the first `n_rows` rows, document by document.

    Raises `EvaluationError` when a token's id is not of the tokenizer that `text` was made of.
    """
    require(0 < n_rows <= rows.n_rows, "n_rows", n_rows, f"1 to {rows.n_rows}, the rows there are")
    token_id, document, offset, row, opens = _all_tokens(rows, n_rows)
    if int(token_id.max()) >= len(text):
        raise EvaluationError(
            f"token {int(token_id.max())} is not one of the {len(text):,} of the tokenizer: it is another model's"
        )
    breaks = np.flatnonzero((np.diff(document) != 0) | (np.diff(offset) != 1)) + 1
    for start, stop in zip([0, *breaks], [*breaks, len(row)], strict=True):
        part = slice(int(start), int(stop))
        if (row[part] == NOT_A_ROW).all():
            continue
        parts = text.encoded(token_id[part])
        bounds = np.cumsum([0, *map(len, parts)])
        yield Piece(
            document=int(document[start]),
            offset=int(offset[start]),
            text=b"".join(parts).decode("utf-8", _ONE_EACH),
            bounds=bounds,
            row=row[part],
            starts=tuple(bounds[:-1][opens[part] & (bounds[:-1] > 0)].tolist()),
        )


def _all_tokens(
    rows: Rows, n_rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Bool[np.ndarray, " tokens"]]:
    """Token id, document, offset and row of the sample's tokens and of those of its documents that lie in the holdout,
    or, of a holdout, in its store; and whether each begins a context (False where contexts are unknown)."""
    own = rows.tokens(0, n_rows)
    rest = _rest(rows)
    parts = [own, *([rest.tokens(0, rest.n_rows)] if rest is not None and rest.n_rows else [])]
    columns = [_column(parts, name) for name in ("token_id", "document", "offset")]
    opens = np.concatenate([_opens(part) for part in parts])
    row = np.concatenate([np.arange(n_rows), np.full(len(opens) - n_rows, NOT_A_ROW)])
    order = np.lexsort((columns[2], columns[1]))
    token_id, document, offset = (column[order] for column in columns)
    return token_id, document, offset, row[order], opens[order]


def _rest(rows: Rows) -> ActivationStore | None:
    """A store's holdout, a holdout's store."""
    if not isinstance(rows, ActivationStore):
        return None
    if not rows.manifest.context_rows:
        return rows.holdout
    return ActivationStore.open(rows.path.parent) if (rows.path.parent / MANIFEST).is_file() else None


def _column(tokens: list[RowTokens], name: str) -> np.ndarray:
    return np.concatenate([getattr(part, name).numpy() for part in tokens])


def _opens(tokens: RowTokens) -> Bool[np.ndarray, " rows"]:
    opens = tokens.opens_context
    return np.zeros(len(tokens.token_id), bool) if opens is None else opens.numpy()


_ONE_EACH = "msae-one-question-mark-each"
"""Decoding with this keeps the number of bytes: each that is no character (a piece may begin or end inside one) is
a question mark."""


def _one_each(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # it is used for decoding alone
    return "?" * (error.end - error.start), error.end


codecs.register_error(_ONE_EACH, _one_each)
