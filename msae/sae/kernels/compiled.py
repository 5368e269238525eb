"""Loops compiled by numba, for the CPU. Imported only where numba is installed, and when first needed."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

CHUNK = 64
EXPECTED_SHARE = 8


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as machine code. The tests' shape checks wrap every function; numba compiles what is inside."""
    return numba.njit(parallel=True, cache=True, fastmath=True)(inspect.unwrap(function))


def scan_block(block: Any, floor: Any) -> tuple[Any, Any]:
    """The (row, column) of every entry of `block` above its row's `floor`, sorted by row, then column (int64)."""
    counts = np.empty(block.shape[0], np.int64)
    found = np.empty((block.shape[0], max(CHUNK, block.shape[1] // EXPECTED_SHARE)), np.int32)
    _scan_rows(block, floor, found, counts)
    if counts.max(initial=0) > found.shape[1]:
        found = np.empty(block.shape, np.int32)
        _scan_rows(block, floor, found, counts)
    ends = counts.cumsum()
    total = int(ends[-1]) if len(ends) else 0
    row, column = np.empty(total, np.int64), np.empty(total, np.int64)
    _gather_rows(found, counts, ends, row, column)
    return row, column


def _scan(block: Any, floor: Any, found: Any, counts: Any) -> None:
    """For each row r, in parallel: the columns of its entries above floor[r], into found[r] as far as they fit.

    `counts[r]` is their number, which can be larger than what fits. A chunk is first tested as a whole, which compiles
    to a few vector instructions; only a chunk with an entry in it is looked at one by one.
    """
    for r in numba.prange(block.shape[0]):
        n = 0
        for start in range(0, block.shape[1], CHUNK):
            chunk = block[r, start : start + CHUNK]
            any_above = False
            for c in range(chunk.shape[0]):
                any_above |= chunk[c] > floor[r]
            if any_above:
                for c in range(chunk.shape[0]):
                    if chunk[c] > floor[r]:
                        if n < found.shape[1]:
                            found[r, n] = start + c
                        n += 1
        counts[r] = n


def _gather(found: Any, counts: Any, ends: Any, row: Any, column: Any) -> None:
    """Write each row's columns one after the other."""
    for r in numba.prange(found.shape[0]):
        start = ends[r] - counts[r]
        for i in range(counts[r]):
            row[start + i] = r
            column[start + i] = found[r, i]


def _row_moments(gradient: Any, parameter: Any, along: Any, square: Any) -> None:
    """For each row: ⟨gradient, parameter⟩ and ‖gradient‖²."""
    for r in numba.prange(gradient.shape[0]):
        a = 0.0
        s = 0.0
        for c in range(gradient.shape[1]):
            g = gradient[r, c]
            a += g * parameter[r, c]
            s += g * g
        along[r] = a
        square[r] = s


def _adam_rows(
    parameter: Any,
    gradient: Any,
    mean: Any,
    square: Any,
    along: Any,
    unit_rows: Any,
    factor: Any,
    step: Any,
    beta1: Any,
    beta2: Any,
    scale2: Any,
    epsilon: Any,
) -> None:
    """One Adam step for every row, its gradient less `along` · row, times `factor`; with `unit_rows`, rows end unit.

    `step`: learning rate over the first moment's bias correction; `scale2`: root of the second's.
    """
    for r in numba.prange(parameter.shape[0]):
        norm = 0.0
        for c in range(parameter.shape[1]):
            p = parameter[r, c]
            g = (gradient[r, c] - along[r] * p) * factor
            m = mean[r, c] + (1 - beta1) * (g - mean[r, c])
            v = beta2 * square[r, c] + (1 - beta2) * g * g
            mean[r, c] = m
            square[r, c] = v
            p -= step * m / (math.sqrt(v) / scale2 + epsilon)
            parameter[r, c] = p
            norm += p * p
        if unit_rows:
            inverse = 1 / max(math.sqrt(norm), 1e-12)
            for c in range(parameter.shape[1]):
                parameter[r, c] *= inverse


_scan_rows = compiled(_scan)
_gather_rows = compiled(_gather)
row_moments = compiled(_row_moments)
adam_rows = compiled(_adam_rows)
