"""Loops compiled by numba, for the CPU. Imported only where numba is installed, and when first needed."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import torch

CHUNK = 64
EXPECTED_SHARE = 8
MIN_SHARED, SHARES_A_THREAD = 64, 2


class Compiled:
    """A loop over [start, stop), as machine code, shared out over as many threads as torch has.

    The threads are Python's own, which sleep when they have nothing to do. Numba's would wait by spinning, as torch's
    do, and two pools that spin on the same cores slow every small operation down by a scheduler's time slice.
    `over`: the argument whose length is shared out.
    """

    def __init__(self, function: Callable[..., None], over: int = 0) -> None:
        # The tests' shape checks wrap every function; numba compiles what is inside.
        self.loop = numba.njit(nogil=True, cache=True, fastmath=True)(inspect.unwrap(function))
        self.over = over

    def __call__(self, *args: Any) -> None:
        """Run the loop over all of `args[over]`."""
        size, n_threads = len(args[self.over]), torch.get_num_threads()
        n_shares = 1 if n_threads == 1 or size < MIN_SHARED else SHARES_A_THREAD * n_threads
        bounds = [size * share // n_shares for share in range(n_shares + 1)]
        if n_shares == 1:
            self.loop(0, size, *args)
        else:
            shares = pairwise(bounds)
            for done in [_pool(n_threads).submit(self.loop, start, stop, *args) for start, stop in shares]:
                done.result()


@cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads, thread_name_prefix="msae")


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


def _scan(start_row: Any, stop_row: Any, block: Any, floor: Any, found: Any, counts: Any) -> None:
    """For each row r: the columns of its entries above floor[r], into found[r] as far as they fit.

    `counts[r]` is their number, which can be larger than what fits. A chunk is first tested as a whole, which compiles
    to a few vector instructions; only a chunk with an entry in it is looked at one by one.
    """
    for r in range(start_row, stop_row):
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


def _gather(start_row: Any, stop_row: Any, found: Any, counts: Any, ends: Any, row: Any, column: Any) -> None:
    """Write each row's columns one after the other."""
    for r in range(start_row, stop_row):
        start = ends[r] - counts[r]
        for i in range(counts[r]):
            row[start + i] = r
            column[start + i] = found[r, i]


def _row_moments(start_row: Any, stop_row: Any, gradient: Any, parameter: Any, along: Any, square: Any) -> None:
    """For each row: ⟨gradient, parameter⟩ and ‖gradient‖²."""
    for r in range(start_row, stop_row):
        a = 0.0
        s = 0.0
        for c in range(gradient.shape[1]):
            g = gradient[r, c]
            a += g * parameter[r, c]
            s += g * g
        along[r] = a
        square[r] = s


def _adam_rows(
    start_row: Any,
    stop_row: Any,
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
    for r in range(start_row, stop_row):
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


def _dots(start_entry: Any, stop_entry: Any, A: Any, B: Any, row: Any, column: Any, out: Any) -> None:
    """⟨A[row], B[column]⟩ for each entry."""
    for i in range(start_entry, stop_entry):
        total = np.float32(0.0)
        for c in range(A.shape[1]):
            total += A[row[i], c] * B[column[i], c]
        out[i] = total


def _decode_levels(
    start_row: Any,
    stop_row: Any,
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
    for b in range(start_row, stop_row):
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
    start_latent: Any,
    stop_latent: Any,
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
    for j in range(start_latent, stop_latent):
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


_scan_rows = Compiled(_scan)
_gather_rows = Compiled(_gather)
row_moments = Compiled(_row_moments)
adam_rows = Compiled(_adam_rows)
dots = Compiled(_dots, over=2)
decode_levels = Compiled(_decode_levels, over=5)
gather_gradients = Compiled(_gather_gradients)
count_order = numba.njit(cache=True)(inspect.unwrap(_count_order))
