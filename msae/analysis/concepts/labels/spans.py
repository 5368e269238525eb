"""Spans of a text that show a concept, counted in UTF-8 bytes, since that is what tokens hold whole numbers of."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

Span = tuple[int, int]


@dataclass(frozen=True)
class Spans:
    """The [start, stop) byte spans of each concept and of each set of rows that concepts are distinguished within."""

    by_name: dict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, start: int, stop: int) -> None:
        """One more span of `name`; an empty one is none."""
        if stop > start:
            self.by_name[name].append((start, stop))


def cut_at(spans: list[Span], places: Sequence[int]) -> tuple[list[Span], list[Span]]:
    """The spans as far as the first of `places` (ascending) inside each, and what of them is behind that place."""
    until, behind = [], []
    for start, stop in spans:
        nearest = bisect_right(places, start)
        if nearest == len(places) or places[nearest] >= stop:
            until.append((start, stop))
        else:
            until.append((start, places[nearest]))
            behind.append((places[nearest], stop))
    return until, behind


def tokens_in(spans: list[Span], bounds: Int[np.ndarray, " tokens_and_one"]) -> Int[np.ndarray, " n"]:
    """The tokens that hold a byte of a span, ascending; token i holds the bytes bounds[i] … bounds[i + 1] − 1."""
    if not spans:
        return np.empty(0, dtype=np.int64)
    start, stop = np.array(spans).T
    n_bytes = int(bounds[-1])
    change = np.bincount(np.minimum(start, n_bytes), minlength=n_bytes + 1) - np.bincount(
        np.minimum(stop, n_bytes), minlength=n_bytes + 1
    )
    covered = np.concatenate([[0], np.cumsum(np.cumsum(change)[:-1] > 0)])
    return np.flatnonzero(covered[bounds[1:]] > covered[bounds[:-1]])


class ByteLines:
    """Where each line of a text begins in bytes, and the byte of a (line, column) as `tokenize` and `ast` count."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._starts = np.cumsum([0, *(len(line.encode()) for line in lines)]).tolist()

    def of_characters(self, line: int, column: int) -> int:
        """The byte at a column that counts characters."""
        if line >= len(self._lines):
            return self._starts[-1]
        return self._starts[line] + len(self._lines[line][:column].encode())

    def of_bytes(self, line: int, column: int) -> int:
        """The byte at a column that counts bytes."""
        return self._starts[min(line, len(self._lines))] + column
