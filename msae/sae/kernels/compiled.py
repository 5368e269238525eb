"""Loops compiled by numba. Only `scan` imports this file, and only where numba is installed."""

from __future__ import annotations

import inspect
from typing import Any

import numba

CHUNK = 64


def _scan_rows(block: Any, floor: Any, found: Any, counts: Any) -> None:
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


# The tests' shape checks wrap every function; numba compiles what is inside.
scan_rows = numba.njit(parallel=True, cache=True, fastmath=True)(inspect.unwrap(_scan_rows))
