"""The null model: every latent's codes shifted circularly within each document, each by its own amount.

A latent keeps its density, its activations, its autocorrelation and how much of each document it takes up; what it
fires together with becomes chance. Where documents are single rows (arrays) the whole sample is taken as one document.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int

from msae.analysis.sample.code_table import CHUNK_CODES, CodeTable, CodeWriter
from msae.analysis.sample.origin import Origin
from msae.core.rng import stream_seed
from msae.sae.codes import SparseCodes

WITHIN_DOCUMENTS, OVER_ALL_ROWS = "circular shifts within documents", "circular shifts over all rows"
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def shift_bounds(origin: Origin) -> tuple[Int[np.ndarray, " bounds"], str]:
    """Where the rows that are shifted among themselves begin (and the last end), and what that is called."""
    starts = origin.run_start
    n_rows = starts[-1]
    if len(starts) - 1 > n_rows / 2:
        return np.array([0, n_rows]), OVER_ALL_ROWS
    return starts, WITHIN_DOCUMENTS


def shifted(codes: CodeTable, origin: Origin, *, seed: int = 0, scratch: Path | None = None) -> CodeTable:
    """The same codes, shifted. Memory: about `CHUNK_CODES` codes, or one document's."""
    bounds, _ = shift_bounds(origin)
    key = np.uint64(stream_seed(seed, "analysis/shift"))
    writer = CodeWriter(codes.d_sae, scratch)
    first = 0
    while first < len(bounds) - 1:
        reach = codes.row_start[bounds[first]] + CHUNK_CODES
        stop = int(np.searchsorted(codes.row_start[bounds], reach, side="right")) - 1
        stop = min(max(stop, first + 1), len(bounds) - 1)
        writer.append(_shifted_documents(codes, bounds[first : stop + 1], first, key))
        first = stop
    return writer.finish()


def shifts(
    codes: CodeTable, origin: Origin, first: CodeTable, *, seed: int, scratch: Path | None = None
) -> Callable[[int], CodeTable]:
    """The n-th draw of the codes shifted: `first`, which is that of `seed`, and others (not that of `seed` + 1, on
    which what was chosen by these is counted)."""
    return lambda n: first if n == 0 else shifted(codes, origin, seed=seed + 1 + n, scratch=scratch)


def _shifted_documents(codes: CodeTable, bounds: np.ndarray, number: int, key: np.uint64) -> SparseCodes:
    rows = slice(int(bounds[0]), int(bounds[-1]))
    where = codes.codes_of(rows)
    latent = codes.latent[where].astype(np.int64)
    lengths = np.diff(bounds)
    n_codes = np.diff(codes.row_start[bounds])
    document = np.repeat(np.arange(len(lengths)), n_codes)
    row = np.repeat(np.arange(rows.start, rows.stop), np.diff(codes.row_start[rows.start : rows.stop + 1]))
    start, length = bounds[document], lengths[document]
    by = (_hash(latent, document + number, key) % length.astype(np.uint64)).astype(np.int64)
    row = start + (row - start + by) % length - rows.start
    order = np.argsort(row * codes.d_sae + latent)
    return SparseCodes(
        torch.from_numpy(row[order]),
        torch.from_numpy(latent[order]),
        torch.from_numpy(codes.value[where][order]),
        rows.stop - rows.start,
        codes.d_sae,
    )


def _hash(latent: np.ndarray, document: np.ndarray, key: np.uint64) -> np.ndarray:
    """A 64-bit number for each (latent, document): splitmix64's finaliser of both and the key."""
    x = latent.astype(np.uint64) * _MIX[0] + document.astype(np.uint64) * _MIX[1] + key
    for factor, by in zip(_MIX[1:], (30, 27), strict=True):
        x = (x ^ (x >> np.uint64(by))) * factor
    return x ^ (x >> np.uint64(31))
