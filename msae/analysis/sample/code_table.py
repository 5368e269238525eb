"""`CodeTable`: every code of a sample, by row and by latent, in files that are mapped and not held.

A code costs 16 bytes of disk (its latent and value, by row; its row and value, by latent) and no memory beyond what is
being read. With them any latent's activations are at hand exactly: no reservoir, no sketch.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Bool, Float, Int

from msae.core.errors import DiskError, EvaluationError
from msae.core.leftovers import Scratch
from msae.sae.codes import SparseCodes

CHUNK_CODES = 1 << 23


class CodeTable:
    """The nonzero codes of `n_rows` rows over `d_sae` latents. Made by `CodeWriter`; its files go when it goes.

    `latent`, `value`: the codes by row, row r's between `row_start[r]` and `row_start[r + 1]`, latents ascending.
    `row`, `value_by_latent`: the same by latent, latent j's between `latent_start[j]` and `latent_start[j + 1]`, rows
    ascending.
    """

    def __init__(self, n_rows: int, d_sae: int, row_start: np.ndarray, folder: Scratch) -> None:
        self.n_rows, self.d_sae, self.row_start = n_rows, d_sae, row_start
        self._folder = folder
        path = folder.path
        self.latent = _mapped(path / "latent", np.int32)
        self.value = _mapped(path / "value", np.float32)
        self.chunks = _chunks(row_start)
        counts = [np.bincount(self.latent[self.codes_of(rows)], minlength=d_sae) for rows in self.chunks]
        self.counts: Int[np.ndarray, " d_sae"] = np.stack(counts).sum(axis=0).astype(np.int64)
        self.latent_start = np.concatenate([[0], np.cumsum(self.counts)])
        # Where each latent's codes of each chunk of rows begin, and behind the last chunk where they end.
        self._chunk_start = np.cumsum([self.latent_start[:-1], *counts], axis=0)
        self._transpose(path)
        self.row = _mapped(path / "row", np.int32)
        self.value_by_latent = _mapped(path / "value_by_latent", np.float32)

    @classmethod
    def of(cls, codes: SparseCodes, scratch: Path | None = None) -> CodeTable:
        """The table of codes at hand."""
        writer = CodeWriter(codes.d_sae, scratch)
        writer.append(codes)
        return writer.finish()

    def __len__(self) -> int:
        return len(self.latent)

    @cached_property
    def density(self) -> Float[np.ndarray, " d_sae"]:
        """The fraction of rows each latent fires on."""
        return self.counts / self.n_rows

    def rows_of(self, latent: int) -> Int[np.ndarray, " n"]:
        """The rows on which `latent` fires, ascending."""
        return self.row[self.latent_start[latent] : self.latent_start[latent + 1]]

    def values_of(self, latent: int) -> Float[np.ndarray, " n"]:
        """Its activations there."""
        return self.value_by_latent[self.latent_start[latent] : self.latent_start[latent + 1]]

    def fires_at(self, latent: int, rows: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """On which of `rows` it fires."""
        return is_among(rows, self.rows_of(latent))

    def values_at(self, latent: int, rows: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Its code on each of `rows`, 0 where it is silent."""
        own = self.rows_of(latent)
        place = np.searchsorted(own, rows)
        found = np.flatnonzero(place < len(own))
        found = found[own[place[found]] == rows[found]]
        out = np.zeros(len(rows), np.float32)
        out[found] = self.values_of(latent)[place[found]]
        return out

    def l0(self, width: int | None = None, n_rows: int | None = None) -> float:
        """Latents that fire on a row on average, of the first `width`, on the first `n_rows` (None: all of them)."""
        n_rows = self.n_rows if n_rows is None else n_rows
        if n_rows == self.n_rows:
            return float(self.counts[:width].sum() / n_rows)
        latent = self.latent[self.codes_of(slice(0, n_rows))]
        return float((latent < (self.d_sae if width is None else width)).sum() / n_rows)

    def codes_of(self, rows: slice) -> slice:
        """Where the codes of rows [start, stop) lie in `latent` and `value`."""
        return slice(int(self.row_start[rows.start]), int(self.row_start[rows.stop]))

    def sparse(self, start: int, stop: int) -> SparseCodes:
        """The codes of rows [start, stop) as `SparseCodes`, rows counted from `start`."""
        codes = self.codes_of(slice(start, stop))
        per_row = np.diff(self.row_start[start : stop + 1])
        return SparseCodes(
            torch.from_numpy(np.repeat(np.arange(stop - start), per_row)),
            torch.from_numpy(self.latent[codes].astype(np.int64)),
            torch.from_numpy(np.array(self.value[codes])),
            stop - start,
            self.d_sae,
        )

    def sparse_at(self, rows: Int[np.ndarray, " n"]) -> SparseCodes:
        """The codes of `rows` as `SparseCodes`, numbered in their order."""
        begin = self.row_start[rows]
        lengths = self.row_start[rows + 1] - begin
        index = ranges(begin, lengths)
        return SparseCodes(
            torch.from_numpy(np.repeat(np.arange(len(rows)), lengths)),
            torch.from_numpy(self.latent[index].astype(np.int64)),
            torch.from_numpy(self.value[index]),
            len(rows),
            self.d_sae,
        )

    def firing(self, rows: slice) -> sp.csr_matrix:
        """1 where a latent fires, (rows, d_sae), for one of `chunks`."""
        codes = self.codes_of(rows)
        start = self.row_start[rows.start : rows.stop + 1] - codes.start
        return _ones(self.latent[codes], start, (rows.stop - rows.start, self.d_sae))

    def firing_of(self, latents: slice, chunk: int) -> sp.csr_matrix:
        """1 where a latent fires, (latents, rows), for the chunk of that number."""
        begin, end = self._chunk_start[chunk, latents], self._chunk_start[chunk + 1, latents]
        lengths = end - begin
        index = ranges(begin, lengths)
        rows = self.chunks[chunk]
        start = np.concatenate([[0], np.cumsum(lengths)])
        return _ones(self.row[index] - rows.start, start, (len(lengths), rows.stop - rows.start))

    def latent_blocks(self, codes: int = CHUNK_CODES >> 1, latents: int | None = None) -> Iterator[slice]:
        """Consecutive latents, at most `latents`, whose codes number at most `codes` together (or one latent)."""
        first = 0
        while first < self.d_sae:
            stop = int(np.searchsorted(self.latent_start, self.latent_start[first] + codes, side="right")) - 1
            stop = max(stop, first + 1)
            stop = min(stop, self.d_sae, first + (latents or self.d_sae))
            yield slice(first, stop)
            first = stop

    def _transpose(self, path: Path) -> None:
        if len(self) == 0:
            (path / "row").touch()
            (path / "value_by_latent").touch()
            return
        with _room_in(path):
            row = _allocated(path / "row", np.int32, len(self))
            value = _allocated(path / "value_by_latent", np.float32, len(self))
        for chunk, rows in enumerate(self.chunks):
            codes = self.codes_of(rows)
            by_latent = np.argsort(self.latent[codes], kind="stable")
            begin = self._chunk_start[chunk]
            target = ranges(begin, self._chunk_start[chunk + 1] - begin)
            per_row = np.diff(self.row_start[rows.start : rows.stop + 1])
            row[target] = np.repeat(np.arange(rows.start, rows.stop, dtype=np.int32), per_row)[by_latent]
            value[target] = self.value[codes][by_latent]
        with _room_in(path):
            _kept(row, path / "row")
            _kept(value, path / "value_by_latent")


class CodeWriter:
    """Takes codes in row by row, and makes a `CodeTable` of them. `scratch`: the folder for its files."""

    def __init__(self, d_sae: int, scratch: Path | None = None) -> None:
        self.d_sae = d_sae
        self._folder = Scratch("codes", scratch)
        for name in ("latent", "value"):
            (self._folder.path / name).touch()
        self._per_row: list[np.ndarray] = [np.zeros(1, dtype=np.int64)]

    def append(self, codes: SparseCodes) -> None:
        """The codes of the next rows; `DiskError` when the disk is full."""
        self._per_row.append(np.bincount(codes.row.cpu().numpy(), minlength=codes.n_rows))
        with _room_in(self._folder.path):
            self._write("latent", codes.latent.cpu().numpy().astype(np.int32))
            self._write("value", codes.value.detach().float().cpu().numpy())

    def finish(self) -> CodeTable:
        """The table of everything appended; `EvaluationError` when that is no row."""
        row_start = np.concatenate(self._per_row).cumsum()
        if len(row_start) == 1:
            raise EvaluationError("no rows were given: there is nothing to measure")
        return CodeTable(len(row_start) - 1, self.d_sae, row_start, self._folder)

    def _write(self, name: str, values: np.ndarray) -> None:
        with (self._folder.path / name).open("ab") as file:
            file.write(values.tobytes())


def ranges(begin: Int[np.ndarray, " n"], lengths: Int[np.ndarray, " n"]) -> Int[np.ndarray, " total"]:
    """begin[0] … begin[0] + lengths[0] − 1, begin[1] …, one range after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(begin - (ends - lengths), lengths)


def is_among(rows: Int[np.ndarray, " n"], ascending: Int[np.ndarray, " m"]) -> Bool[np.ndarray, " n"]:
    """Which of `rows` are among others, which ascend."""
    if len(ascending) == 0:
        return np.zeros(len(rows), dtype=bool)
    place = np.searchsorted(ascending, rows)
    return np.asarray(ascending[np.minimum(place, len(ascending) - 1)] == rows)


def evenly(rows: Int[np.ndarray, " n"], count: int) -> Int[np.ndarray, " m"]:
    """At most `count` of them, evenly spaced."""
    if len(rows) <= count:
        return np.asarray(rows)
    return rows[(2 * np.arange(count) + 1) * len(rows) // (2 * count)]


@contextlib.contextmanager
def _room_in(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskError(
            f"could not write codes to {folder}: {error}. A code takes 16 bytes: free some space, name another scratch "
            "folder, or analyze fewer tokens."
        ) from error


def _allocated(path: Path, dtype: type[np.generic], length: int) -> np.ndarray:
    """A new file of `length` numbers, mapped. Its blocks are taken now: a full disk is an error here, where on writing
    through the map it would be a bus error."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, length * np.dtype(dtype).itemsize)
    try:
        return np.memmap(path, dtype, "r+" if path.stat().st_size else "w+", shape=length)
    except OSError as error:
        _warn_of_no_maps(path, error)
        return np.empty(length, dtype)


def _kept(values: np.ndarray, path: Path) -> None:
    """See to it that what was written to an `_allocated` file lies in it."""
    flush = getattr(values, "flush", None)
    if flush is None:
        values.tofile(path)
    else:
        flush()


def _mapped(path: Path, dtype: type[np.generic]) -> np.ndarray:
    if path.stat().st_size == 0:
        return np.empty(0, dtype)
    try:
        return np.asarray(np.memmap(path, dtype, "r"))
    except OSError as error:
        _warn_of_no_maps(path, error)
        return np.fromfile(path, dtype)


def _warn_of_no_maps(path: Path, error: OSError) -> None:
    warnings.warn(
        f"files in {path.parent.parent} cannot be mapped ({error}), so codes are held in memory, 16 bytes each; on a "
        "local disk they would not be",
        stacklevel=4,
    )


def _chunks(row_start: Int[np.ndarray, " n"]) -> list[slice]:
    """Consecutive rows whose codes number at most `CHUNK_CODES` (or one row)."""
    out, first, n_rows = [], 0, len(row_start) - 1
    while first < n_rows:
        stop = int(np.searchsorted(row_start, row_start[first] + CHUNK_CODES, side="right")) - 1
        stop = min(max(stop, first + 1), n_rows)
        out.append(slice(first, stop))
        first = stop
    return out


def _ones(index: np.ndarray, start: np.ndarray, shape: tuple[int, int]) -> sp.csr_matrix:
    return sp.csr_matrix((np.ones(len(index), np.int32), index, start.astype(np.int32)), shape=shape, copy=False)
