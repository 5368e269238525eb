"""Loops compiled by numba, for the CPU. Imported only where numba is installed, and when first needed."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch

CHUNK = 64
EXPECTED_SHARE = 8


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as machine code. The tests' shape checks wrap every function; numba compiles what is inside.

    It runs on as many threads as torch does.
    """
    loop = numba.njit(parallel=True, cache=True, fastmath=True)(inspect.unwrap(function))

    def run(*args: Any) -> Any:
        _follow_torch()
        return loop(*args)

    return run


def _follow_torch() -> None:
    """Numba's threads as many as torch's, and torch's as many as they were.

    When numba starts its threads it sets the OpenMP pool, which is torch's too, to every core. On a busy machine each
    small torch operation would from then on wait for a thread that does not get to run.
    """
    wanted = torch.get_num_threads()
    numba.set_num_threads(min(wanted, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)


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


def _count_order(key: Any, ends: Any, order: Any) -> None:
    """A stable counting sort: `ends` counts keys on entry, and holds where each key's run ends on return."""
    total = 0
    for k in range(ends.shape[0]):
        count = ends[k]
        ends[k] = total
        total += count
    for i in range(key.shape[0]):
        order[ends[key[i]]] = i
        ends[key[i]] += 1


def _dots(A: Any, B: Any, row: Any, column: Any, out: Any) -> None:
    """⟨A[row], B[column]⟩ for each entry."""
    for i in numba.prange(row.shape[0]):
        total = np.float32(0.0)
        for c in range(A.shape[1]):
            total += A[row[i], c] * B[column[i], c]
        out[i] = total


def _decode_levels(
    starts: Any,
    latent: Any,
    value: Any,
    W_dec: Any,
    b_dec: Any,
    x: Any,
    widths: Any,
    factors: Any,
    pull: Any,
    upstream: Any,
    squares: Any,
    residuals: Any,
) -> None:
    """Row by row: the error of every prefix, its square, R (`pull`), and ∂L/∂f (`upstream`) of the row's entries.

    A row's few decoder rows are read twice while they are in the cache. `residuals` (x − x̂_g) is filled if not empty.
    """
    n_levels, d_in = widths.shape[0], x.shape[1]
    for b in numba.prange(x.shape[0]):
        i = starts[b]
        for g in range(n_levels):
            error = pull[g, b]
            if g == 0:
                for c in range(d_in):
                    error[c] = b_dec[c] - x[b, c]
            else:
                for c in range(d_in):
                    error[c] = pull[g - 1, b, c]
            while i < starts[b + 1] and latent[i] < widths[g]:
                direction, f = W_dec[latent[i]], value[i]
                for c in range(d_in):
                    error[c] += f * direction[c]
                i += 1
            total = np.float32(0.0)
            for c in range(d_in):
                total += error[c] * error[c]
            squares[b, g] = total
            if residuals.shape[0]:
                for c in range(d_in):
                    residuals[g, b, c] = -error[c]
        for c in range(d_in):
            pull[n_levels - 1, b, c] *= factors[n_levels - 1]
        for g in range(n_levels - 2, -1, -1):
            for c in range(d_in):
                pull[g, b, c] = factors[g] * pull[g, b, c] + pull[g + 1, b, c]
        i = starts[b]
        for g in range(n_levels):
            while i < starts[b + 1] and latent[i] < widths[g]:
                total = np.float32(0.0)
                for c in range(d_in):
                    total += W_dec[latent[i], c] * pull[g, b, c]
                upstream[i] = total
                i += 1


def _gather_gradients(
    ends: Any,
    order: Any,
    row: Any,
    level: Any,
    value: Any,
    upstream: Any,
    pull: Any,
    centred: Any,
    W_dec: Any,
    W_enc: Any,
    b_enc: Any,
) -> None:
    """Latent by latent: the gradients of its decoder row, encoder column and bias, from the entries where it fires."""
    d_in = centred.shape[1]
    for j in numba.prange(ends.shape[0]):
        decoder, encoder = W_dec[j], W_enc[j]
        for c in range(d_in):
            decoder[c] = 0.0
            encoder[c] = 0.0
        bias = np.float32(0.0)
        for at in range(ends[j - 1] if j > 0 else 0, ends[j]):
            i = order[at]
            f, slope = value[i], upstream[i]
            r, x = pull[level[j], row[i]], centred[row[i]]
            for c in range(d_in):
                decoder[c] += f * r[c]
                encoder[c] += slope * x[c]
            bias += slope
        b_enc[j] = bias


_scan_rows = compiled(_scan)
_gather_rows = compiled(_gather)
row_moments = compiled(_row_moments)
adam_rows = compiled(_adam_rows)
dots = compiled(_dots)
decode_levels = compiled(_decode_levels)
gather_gradients = compiled(_gather_gradients)
count_order = numba.njit(cache=True)(inspect.unwrap(_count_order))
