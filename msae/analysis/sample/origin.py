"""Where rows come from: tokens, documents and their bounds; and rows held in memory instead of a store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, final, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.activations.store import RowTokens
from msae.core.checked import checked
from msae.core.config import require
from msae.core.numerics import RowArray, as_rows


@runtime_checkable
class Rows(Protocol):
    """Activations with the origin of each row, in reading order: an `ActivationStore`, or `ArrayRows`."""

    @property
    def n_rows(self) -> int:
        """How many."""
        ...

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows d_in"]:
        """Rows [start, stop)."""
        ...

    def tokens(self, start: int, stop: int) -> RowTokens:
        """Their origin."""
        ...

    def document_names(self) -> list[str]:
        """The documents' names."""
        ...


@checked
@final
class ArrayRows:
    """Rows held in memory. Without `tokens` every row is a document of its own with token id 0."""

    def __init__(self, x: RowArray, tokens: RowTokens | None = None) -> None:
        x = as_rows(x, what="the array of rows")
        n = x.shape[0]
        none = RowTokens(
            token_id=torch.zeros(n, dtype=torch.long),
            document=torch.arange(n),
            offset=torch.zeros(n, dtype=torch.long),
            position=torch.zeros(n, dtype=torch.long),
        )
        self._x, self._tokens = x, tokens or none
        require(len(self._tokens.document) == n, "tokens", len(self._tokens.document), f"one for each of {n} rows")

    @property
    def n_rows(self) -> int:
        """How many."""
        return self._x.shape[0]

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows d_in"]:
        """Rows [start, stop)."""
        return self._x[start:stop]

    def tokens(self, start: int, stop: int) -> RowTokens:
        """Their origin."""
        own = self._tokens
        return RowTokens(
            token_id=own.token_id[start:stop],
            document=own.document[start:stop],
            offset=own.offset[start:stop],
            position=None if own.position is None else own.position[start:stop],
        )

    def document_names(self) -> list[str]:
        """The documents' numbers."""
        return [str(number) for number in range(int(self._tokens.document.max()) + 1)]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The origin of every row of a sample: 13 bytes a row.

    A *run* is consecutive rows of one document. A *passage* is a run without a gap in its offsets (the rows between
    were set aside, or were special tokens) and within one context: what stands before it the model had not read.
    `opens_context`: whether each row is the first of its context among these rows. None where contexts are unknown, as
    in stores made before positions were kept, whose passages may hold text that the model had not read; and where each
    row is a context of its own, as in arrays of rows, which have none before them.
    """

    token_id: Int[np.ndarray, " rows"]
    document: Int[np.ndarray, " rows"]
    offset: Int[np.ndarray, " rows"]
    names: list[str]
    opens_context: Bool[np.ndarray, " rows"] | None = None

    @classmethod
    def of(cls, rows: Rows, n_rows: int) -> Origin:
        """The origin of the first `n_rows` rows."""
        tokens = rows.tokens(0, n_rows)
        columns = (tokens.token_id, tokens.document, tokens.offset)
        token_id, document, offset = (column.numpy().astype(np.int32) for column in columns)
        opens = tokens.opens_context
        return cls(
            token_id=token_id,
            document=document,
            offset=offset,
            names=rows.document_names(),
            opens_context=None if opens is None or opens.all() else opens.numpy(),
        )

    @cached_property
    def run_start(self) -> Int[np.ndarray, " runs"]:
        """The first row of each run, and behind the last run the number of rows."""
        return _starts(np.diff(self.document) != 0)

    @cached_property
    def passage(self) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"]]:
        """For each row, where its passage begins and ends (one past its last row)."""
        if self.opens_context is None:
            return self.text
        return _bounds(self._gaps | self.opens_context[1:])

    @cached_property
    def text(self) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"]]:
        """The same of the text around each row, which goes on from one context to the next: a character may, too."""
        return _bounds(self._gaps)

    @property
    def _gaps(self) -> Bool[np.ndarray, " rows_less_one"]:
        return (np.diff(self.document) != 0) | (np.diff(self.offset) != 1)


def _bounds(breaks: np.ndarray) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"]]:
    starts = _starts(breaks)
    lengths = np.diff(starts)
    return np.repeat(starts[:-1], lengths).astype(np.int32), np.repeat(starts[1:], lengths).astype(np.int32)


def _starts(breaks: np.ndarray) -> Int[np.ndarray, " starts"]:
    return np.concatenate([[0], np.flatnonzero(breaks) + 1, [len(breaks) + 1]])
