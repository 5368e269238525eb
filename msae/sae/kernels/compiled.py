"""Loops compiled by numba, for the CPU. Imported only where numba is installed, and when first needed."""

from __future__ import annotations

import inspect
import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import torch

EXPECTED_SHARE = 8
MIN_SHARED, SHARES_A_THREAD = 64, 8
TOO_SMALL_TO_SQUARE = np.float32(1e-15)
SMALLEST_SQUARE_NORM = np.float32(1e-24)


class Compiled:
    """A loop over [start, stop), as machine code, shared out over as many threads as torch has.

    The calling thread works too, and the others join as the scheduler lets them: after a product torch's own threads
    still wait for the next by spinning, and hold their cores for a while. So shares are small, and whoever is free
    takes the next. Numba's threads would spin as well, and two pools that spin on the same cores slow every small
    operation down by a scheduler's time slice.
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
        if n_shares == 1:
            return self.loop(0, size, *args)
        shares = deque(pairwise(size * share // n_shares for share in range(n_shares + 1)))

        def take_shares() -> None:
            while share := _next(shares):
                self.loop(*share, *args)

        others = [_pool(n_threads - 1).submit(take_shares) for _ in range(n_threads - 1)]
        take_shares()
        for other in others:
            if not other.cancel():
                other.result()


def _next(shares: deque) -> tuple[int, int] | None:
    # Not deque[...]: the tests' type checks would look into it, while another thread takes from it.
    with suppress(IndexError):
        return shares.popleft()
    return None


@cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads, thread_name_prefix="msae")


def scan_block(block: Any, floor: Any) -> tuple[Any, Any]:
    """The (row, column) of every entry of `block` above its row's `floor`, sorted by row, then column (int64)."""
    counts = np.empty(block.shape[0], np.int64)
    found = np.empty((block.shape[0], max(64, block.shape[1] // EXPECTED_SHARE)), np.int32)
    _scan_rows(block, floor, found, counts)
    if counts.max(initial=0) > found.shape[1]:
        found = np.empty(block.shape, np.int32)
        _scan_rows(block, floor, found, counts)
    return _row_numbers(counts), found[_is_filled(found, counts)].astype(np.int64)


def screen_int8(
    sums: Any, row_bounds: Any, column_bounds: Any, rows: Any, columns: Any, bias: Any, floor: Any, rounding: Any
) -> tuple[Any, Any, Any, int]:
    """Row, column and value of every ⟨row, column⟩ + bias above `floor`; and for how many that had to be computed.

    `sums`: the products of `rows` and `columns` as int8, with each row's and column's scale, norm, and norm of what
    rounding took from it. `rounding`: the float32 error of a product, relative to both norms.
    """
    numbers = np.float32(floor), np.float32(rounding)
    counts, n_passed = np.empty((2, sums.shape[0]), np.int64)
    room = max(64, sums.shape[1] // EXPECTED_SHARE)
    for width in (room, sums.shape[1]):
        found, value = np.empty((sums.shape[0], width), np.int32), np.empty((sums.shape[0], width), np.float32)
        arrays = (sums, row_bounds, column_bounds, rows, columns, bias, *numbers, found, value, counts, n_passed)
        _screen_int8_rows(*arrays)
        if n_passed.max(initial=0) <= width:
            break
    filled = _is_filled(found, counts)
    return _row_numbers(counts), found[filled].astype(np.int64), value[filled], int(n_passed.sum())


def _row_numbers(counts: Any) -> Any:
    return np.repeat(np.arange(len(counts)), counts)


def _is_filled(found: Any, counts: Any) -> Any:
    return np.arange(found.shape[1]) < counts[:, None]


def _write_flagged(flags: Any, out: Any) -> Any:
    """Write the indices of the true `flags` into `out` as far as they fit, and return their number.

    Few are true, so they are read eight at a time. (Their number must be a multiple of eight.)
    """
    n = 0
    words = flags.view(np.uint64)
    for w in range(words.shape[0]):
        if words[w] != 0:
            for c in range(8 * w, 8 * w + 8):
                if flags[c]:
                    if n < out.shape[0]:
                        out[n] = c
                    n += 1
    return n


write_flagged = numba.njit(nogil=True, cache=True)(inspect.unwrap(_write_flagged))


def _scan(start_row: Any, stop_row: Any, block: Any, floor: Any, found: Any, counts: Any) -> None:
    """For each row r: the columns of its entries above floor[r], into found[r] as far as they fit.

    `counts[r]` is their number, which can be larger than what fits.
    """
    flags = np.zeros(-(-block.shape[1] // 8) * 8, np.bool_)
    for r in range(start_row, stop_row):
        for c in range(block.shape[1]):
            flags[c] = block[r, c] > floor[r]
        counts[r] = write_flagged(flags, found[r])


def _screen_int8(
    start_row: Any,
    stop_row: Any,
    sums: Any,
    row_bounds: Any,
    column_bounds: Any,
    rows: Any,
    columns: Any,
    bias: Any,
    floor: Any,
    rounding: Any,
    found: Any,
    value: Any,
    counts: Any,
    n_passed: Any,
) -> None:
    """Row by row: what may exceed the floor when raised by the most that rounding can have taken, then what does.

    `n_passed[r]` can be larger than what fits into found[r]; the row is then not complete.
    """
    flags = np.zeros(-(-sums.shape[1] // 8) * 8, np.bool_)
    for r in range(start_row, stop_row):
        scale, norm, lost = row_bounds[0, r], row_bounds[1, r], row_bounds[2, r]
        reach, rounded_norm = lost + rounding * norm, norm + lost
        for c in range(sums.shape[1]):
            slack = reach * column_bounds[1, c] + rounded_norm * column_bounds[2, c] + rounding * abs(bias[c])
            flags[c] = np.float32(sums[r, c]) * (scale * column_bounds[0, c]) + bias[c] + slack > floor
        n_passed[r] = write_flagged(flags, found[r])
        n = 0
        for i in range(min(n_passed[r], found.shape[1])):
            c = found[r, i]
            pre = np.float32(0.0)
            for d in range(rows.shape[1]):
                pre += rows[r, d] * columns[c, d]
            pre += bias[c]
            if pre > floor:
                found[r, n] = c
                value[r, n] = pre
                n += 1
        counts[r] = n


def _to_int8(start_row: Any, stop_row: Any, rows: Any, out: Any, bounds: Any) -> None:
    """Each row in units of its largest magnitude / 127, rounded; see `search._in_int8` for `bounds`."""
    for r in range(start_row, stop_row):
        largest, square, lost = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for c in range(rows.shape[1]):
            largest = max(largest, abs(rows[r, c]))
        scale = largest / np.float32(127.0)
        inverse = np.float32(1.0) / scale if largest > TOO_SMALL_TO_SQUARE else np.float32(0.0)
        for c in range(rows.shape[1]):
            value = rows[r, c]
            rounded = np.rint(value * inverse)
            out[r, c] = np.int8(rounded)
            square += value * value
            lost += (value - rounded * scale) * (value - rounded * scale)
        if largest > TOO_SMALL_TO_SQUARE:
            bounds[0, r], bounds[1, r], bounds[2, r] = scale, math.sqrt(square), math.sqrt(lost)
        else:
            bounds[0, r] = scale
            bounds[1, r] = bounds[2, r] = largest * math.sqrt(np.float32(rows.shape[1]))


def _row_moments(start_row: Any, stop_row: Any, gradient: Any, parameter: Any, along: Any, square: Any) -> None:
    """For each row: ⟨gradient, parameter⟩ and ‖gradient‖²."""
    for r in range(start_row, stop_row):
        a = np.float32(0.0)
        s = np.float32(0.0)
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
    rate1: Any,
    rate2: Any,
    epsilon: Any,
) -> None:
    """One Adam step for every row, its gradient less `along` · row, times `factor`; with `unit_rows`, rows end unit.

    All numbers are float32, or the loop would run in float64 at half the speed. `rate1`, `rate2`: 1 − β₁ and 1 − β₂.
    `step` and `epsilon` are corrected for the moments' bias: lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ) and ε · √(1 − β₂ᵗ).
    """
    for r in range(start_row, stop_row):
        norm = np.float32(0.0)
        for c in range(parameter.shape[1]):
            p = parameter[r, c]
            g = (gradient[r, c] - along[r] * p) * factor
            m = mean[r, c] + rate1 * (g - mean[r, c])
            v = square[r, c] + rate2 * (g * g - square[r, c])
            mean[r, c] = m
            square[r, c] = v
            p -= step * m / (math.sqrt(v) + epsilon)
            parameter[r, c] = p
            norm += p * p
        if unit_rows:
            inverse = np.float32(1.0) / np.sqrt(max(norm, SMALLEST_SQUARE_NORM))
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


def _keep_largest(start_row: Any, stop_row: Any, bits: Any, count: Any) -> None:
    """In place: each row keeps its `count` largest positive numbers, of equal ones the first, and zeros elsewhere.

    `bits`: float32 numbers as int32, which order those above zero as they are. So the cut can be found by bisection:
    the smallest c with at most `count` entries above it. Each pass is a few vector instructions.
    """
    for r in range(start_row, stop_row):
        row = bits[r]
        low, high, n_above, n_positive = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
        for c in range(row.shape[0]):
            high = max(high, row[c])
            n_positive += np.int32(row[c] > 0)
        if n_positive <= count:
            high, n_above = np.int32(0), np.int32(count)
        while n_above != count and high - low > 1:
            middle = low + (high - low) // np.int32(2)
            n = np.int32(0)
            for c in range(row.shape[0]):
                n += np.int32(row[c] > middle)
            if n > count:
                low = middle
            else:
                high, n_above = middle, n
        n_ties = count - n_above
        for c in range(row.shape[0]):
            if row[c] == high and n_ties > 0:
                n_ties -= 1
            elif row[c] <= high:
                row[c] = 0


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
_screen_int8_rows = Compiled(_screen_int8)
to_int8 = Compiled(_to_int8)
row_moments = Compiled(_row_moments)
adam_rows = Compiled(_adam_rows)
keep_largest = Compiled(_keep_largest)
dots = Compiled(_dots, over=2)
decode_levels = Compiled(_decode_levels, over=5)
gather_gradients = Compiled(_gather_gradients)
count_order = numba.njit(cache=True)(inspect.unwrap(_count_order))
