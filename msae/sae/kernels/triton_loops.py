"""The step's loops for a GPU, in Triton. Imported only where Triton is installed, and when first needed.

With TRITON_INTERPRET=1 they run on a CPU, one program after the other: slow, for tests.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import triton
import triton.language as tl
from jaxtyping import Bool, Float, Int
from torch import Tensor

ENTRIES = 16
WORDS, WORDS_UNPACKED = 256, 32
SMALLEST_SQUARE_NORM = 1e-24
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEPTH = 64
# Rows, columns, warps and stages of a tile. On newer cards than sm_90 a tile of 128 × 256 does not fit into registers.
TILES = ((64, 128, 4, 3), (128, 128, 8, 3), (128, 256, 8, 3), (128, 256, 8, 4), (256, 128, 8, 3), (256, 128, 8, 4))
BEYOND_SM90 = tuple(tile for tile in TILES if tile[1] <= 128)


def _jit(function: Callable[..., Any]) -> Any:
    # The tests' shape checks wrap every function; Triton compiles what is inside.
    return triton.jit(inspect.unwrap(function))


def _sampled_product(A, B, row, column, out, m, n, d, D: tl.constexpr, N: tl.constexpr):  # type: ignore[no-untyped-def]
    entry = tl.program_id(0) * N + tl.arange(0, N)
    at_row = tl.load(row + entry, mask=entry < n, other=m)
    at_column = tl.load(column + entry, mask=entry < n, other=0)
    there = at_row < m
    total = tl.zeros((N,), tl.float32)
    for start in range(0, d * tl.max(there.to(tl.int32), 0), D):
        c = start + tl.arange(0, D)
        inside = there[:, None] & (c < d)[None, :]
        a = tl.load(A + at_row[:, None] * d + c[None, :], mask=inside, other=0.0)
        b = tl.load(B + at_column[:, None] * d + c[None, :], mask=inside, other=0.0)
        total += tl.sum(a * b, 1)
    tl.store(out + entry, total, mask=entry < n)


def _gathered_sums(source, index, weight, offsets, out, d, D: tl.constexpr):  # type: ignore[no-untyped-def]
    bag = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * D + tl.arange(0, D)
    total = tl.zeros((D,), tl.float32)
    for i in range(tl.load(offsets + bag), tl.load(offsets + bag + 1)):
        row = tl.load(source + tl.load(index + i) * d + c, mask=c < d, other=0.0)
        total += tl.load(weight + i) * row
    tl.store(out + bag * d + c, total, mask=c < d)


def _pick(  # type: ignore[no-untyped-def]
    x,
    W,
    bias,
    row_slack,
    column_slack,
    floor,
    words,
    n_rows,
    n_columns,
    first_word,
    n_words,
    d,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    GROUP: tl.constexpr,
):
    # Programs that run together share rows or columns, so that what one has read lies in the cache for the next.
    n_row_tiles, n_column_tiles = tl.cdiv(n_rows, ROWS), tl.cdiv(n_columns, COLUMNS)
    in_group = GROUP * n_column_tiles
    first_tile = tl.program_id(0) // in_group * GROUP
    height = tl.minimum(n_row_tiles - first_tile, GROUP)
    r = (first_tile + tl.program_id(0) % in_group % height) * ROWS + tl.arange(0, ROWS)
    column_tile = tl.program_id(0) % in_group // height
    c = column_tile * COLUMNS + tl.arange(0, COLUMNS)
    # Rows that are not there are read as the first, and left out in the end; d is a multiple of DEPTH: no load needs
    # a mask.
    x_rows = x + tl.where(r < n_rows, r, 0).to(tl.int64)[:, None] * d
    W_rows = W + tl.where(c < n_columns, c, 0).to(tl.int64)[None, :] * d
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, d, DEPTH):
        k = start + tl.arange(0, DEPTH)
        total = tl.dot(tl.load(x_rows + k[None, :]), tl.load(W_rows + k[:, None]), total)
    slack = tl.load(row_slack + r, mask=r < n_rows, other=0.0)[:, None]
    slack = slack * tl.load(column_slack + c, mask=c < n_columns, other=0.0)[None, :]
    # The bias comes raised by what the sum can lose by being rounded, and lowered by the latent's floor.
    above = total + tl.load(bias + c, mask=c < n_columns, other=0.0)[None, :] + slack > tl.load(floor)
    above = above & (c < n_columns)[None, :]
    # A bit an entry is all that leaves the tile: to number what was found needs more registers than there are.
    flags = tl.reshape(above, (ROWS, COLUMNS // 32, 32))
    packed = tl.sum(tl.where(flags, (1 << tl.arange(0, 32))[None, None, :], 0), 2)
    w = column_tile * (COLUMNS // 32) + tl.arange(0, COLUMNS // 32)
    inside = (r < n_rows)[:, None] & (w < tl.cdiv(n_columns, 32))[None, :]
    tl.store(words + r.to(tl.int64)[:, None] * n_words + (first_word + w)[None, :], packed, mask=inside)


def _count_bits(words, counts, n_words, N: tl.constexpr):  # type: ignore[no-untyped-def]
    r = tl.program_id(0).to(tl.int64)
    total = tl.zeros((N,), tl.int32)
    for start in range(0, n_words, N):
        w = start + tl.arange(0, N)
        word = tl.load(words + r * n_words + w, mask=w < n_words, other=0).to(tl.uint32)
        word = word - ((word >> 1) & 0x55555555)
        word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
        word = (word + (word >> 4)) & 0x0F0F0F0F
        total += ((word * 0x01010101) >> 24).to(tl.int32)
    tl.store(counts + r, tl.sum(total, 0))


def _unpack(words, ends, found, room, n_words, first, d_sae, N: tl.constexpr):  # type: ignore[no-untyped-def]
    r = tl.program_id(0).to(tl.int64)
    bit = tl.arange(0, 32)
    at = tl.load(ends + r - 1, mask=r > 0, other=0)
    for start in range(0, n_words, N):
        w = start + tl.arange(0, N)
        word = tl.load(words + r * n_words + w, mask=w < n_words, other=0)
        if tl.max((word != 0).to(tl.int32), 0) > 0:
            flags = (word[:, None] >> bit[None, :]) & 1
            in_word = tl.sum(flags, 1)
            place = at + (tl.cumsum(in_word, 0) - in_word)[:, None] + tl.cumsum(flags, 1) - flags
            entry = r * d_sae + (first + w * 32)[:, None] + bit[None, :]
            tl.store(found + place, entry, mask=(flags > 0) & (place < room))
            at += tl.sum(in_word, 0)


def _row_moments(gradient, parameter, along, square, d, D: tl.constexpr):  # type: ignore[no-untyped-def]
    r = tl.program_id(0).to(tl.int64)
    a = tl.zeros((D,), tl.float32)
    s = tl.zeros((D,), tl.float32)
    for start in range(0, d, D):
        c = start + tl.arange(0, D)
        g = tl.load(gradient + r * d + c, mask=c < d, other=0.0)
        a += g * tl.load(parameter + r * d + c, mask=c < d, other=0.0)
        s += g * g
    tl.store(along + r, tl.sum(a, 0))
    tl.store(square + r, tl.sum(s, 0))


def _adam_rows(  # type: ignore[no-untyped-def]
    parameter,
    gradient,
    mean,
    square,
    along,
    factor,
    valid,
    step,
    rate1,
    rate2,
    epsilon,
    smallest,
    d,
    UNIT: tl.constexpr,
    D: tl.constexpr,
):
    # A step that is not valid reads and writes nothing: the row stays as it is.
    r, c = tl.program_id(0).to(tl.int64), tl.arange(0, D)
    inside = (c < d) & (tl.load(valid) != 0)
    p = tl.load(parameter + r * d + c, mask=inside, other=0.0)
    g = tl.load(gradient + r * d + c, mask=inside, other=0.0)
    m = tl.load(mean + r * d + c, mask=inside, other=0.0)
    v = tl.load(square + r * d + c, mask=inside, other=0.0)
    g = (g - tl.load(along + r) * p) * tl.load(factor)
    m += rate1 * (g - m)
    v += rate2 * (g * g - v)
    p -= step * m / (tl.sqrt(v) + epsilon)
    if UNIT:
        p = p / tl.sqrt(tl.maximum(tl.sum(tl.where(inside, p * p, 0.0), 0), smallest))
    tl.store(mean + r * d + c, m, mask=inside)
    tl.store(square + r * d + c, v, mask=inside)
    tl.store(parameter + r * d + c, p, mask=inside)


_sampled_product_loop, _gathered_sums_loop = _jit(_sampled_product), _jit(_gathered_sums)
_row_moments_loop, _adam_rows_loop = _jit(_row_moments), _jit(_adam_rows)
_count_bits_loop, _unpack_loop = _jit(_count_bits), _jit(_unpack)


def tiles_for(capability: tuple[int, int]) -> tuple[tuple[int, int, int, int], ...]:
    """The tiles to try on a card of this compute capability."""
    return TILES if capability < (10, 0) else BEYOND_SM90


@cache
def _pick_on(device: int) -> Any:
    """`_pick` for a card. Which tile is fastest depends on it; the first step on it tries them."""
    import torch

    tiles = TILES[:1] if INTERPRETED else tiles_for(torch.cuda.get_device_capability(device))
    configs = [
        triton.Config(
            {"ROWS": rows, "COLUMNS": columns, "DEPTH": DEPTH, "GROUP": 8}, num_warps=warps, num_stages=stages
        )
        for rows, columns, warps, stages in tiles
    ]
    return triton.autotune(configs, key=["n_rows", "n_columns", "d"])(_jit(_pick))


def sampled_product(
    A: Float[Tensor, "m d"], B: Float[Tensor, "n d"], row: Int[Tensor, " entries"], column: Int[Tensor, " entries"]
) -> Float[Tensor, " entries"]:
    """⟨A[row], B[column]⟩ for each entry, in float32; zero, and no work, for a row that A has not."""
    out = A.new_empty(len(row))
    if len(row):
        A, B = A.detach().contiguous(), B.detach().contiguous()
        _sampled_product_loop[(triton.cdiv(len(row), ENTRIES),)](
            A, B, row, column, out, *(len(A), len(row), A.shape[1]), D=128, N=ENTRIES
        )
    return out


def gathered_sums(
    source: Float[Tensor, "m d"],
    index: Int[Tensor, " entries"],
    weight: Float[Tensor, " entries"],
    offsets: Int[Tensor, " bags_and_end"],
) -> Float[Tensor, "bags d"]:
    """Σ weight · source[index] over each run of entries between two neighbours in `offsets`."""
    d, n_bags = source.shape[1], len(offsets) - 1
    out = source.new_empty(n_bags, d)
    grid = (n_bags, triton.cdiv(d, 256))
    _gathered_sums_loop[grid](source.detach().contiguous(), index, weight.contiguous(), offsets, out, d, D=256)
    return out


@dataclass(frozen=True)
class Screen:
    """A product to be searched: bf16 rows and columns, and how far each entry may lie below its float32 value.

    An entry is raised by row_slack · column_slack; `bias` holds what is added to a column's entries before they are
    compared with `floor`. Rows and columns are as long as a multiple of `DEPTH`, with zeros behind.
    """

    x: Float[Tensor, "batch d"]
    W: Float[Tensor, "latents d"]
    bias: Float[Tensor, " latents"]
    row_slack: Float[Tensor, " batch"]
    column_slack: Float[Tensor, " latents"]
    floor: Float[Tensor, ""]


def pick(screen: Screen, words: Int[Tensor, "batch words"], first_word: int) -> None:
    """Set a bit for every entry above the floor, and clear it for the others: 32 columns a word, from `first_word` on.

    No product leaves the multiprocessor that makes it.
    """
    n_rows, n_columns = len(screen.x), len(screen.W)
    sizes = (n_rows, n_columns, first_word, words.shape[1], screen.x.shape[1])
    bounds = (screen.bias, screen.row_slack, screen.column_slack, screen.floor)

    def grid(tile: dict[str, int]) -> tuple[int]:
        return (triton.cdiv(n_rows, tile["ROWS"]) * triton.cdiv(n_columns, tile["COLUMNS"]),)

    _pick_on(max(0, words.get_device()))[grid](screen.x, screen.W, *bounds, words, *sizes)


def unpack(
    words: Int[Tensor, "batch words"], room: int, first: int, d_sae: int
) -> tuple[Int[Tensor, " room"], Int[Tensor, 1]]:
    """row · d_sae + first + column of the bits that are set, in order, and their number; nobody waits for it.

    What is not there reads batch · d_sae; of more than `room` entries the last are missing.
    """
    n_rows, n_words = words.shape
    counts = words.new_empty(n_rows)
    _count_bits_loop[(n_rows,)](words, counts, n_words, N=WORDS)
    ends = counts.cumsum(0)
    found = ends.new_full((room,), n_rows * d_sae)
    _unpack_loop[(n_rows,)](words, ends, found, room, n_words, first, d_sae, N=WORDS_UNPACKED)
    return found, ends[-1:]


def row_moments(
    gradient: Float[Tensor, "rows d"], parameter: Float[Tensor, "rows d"]
) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"]]:
    """For each row: ⟨gradient, parameter⟩ and ‖gradient‖²."""
    along, square = gradient.new_empty(2, len(gradient)).unbind()
    _row_moments_loop[(len(gradient),)](gradient, parameter, along, square, gradient.shape[1], D=1024)
    return along, square


def adam_rows(
    parameter: Float[Tensor, "rows d"],
    gradient: Float[Tensor, "rows d"],
    mean: Float[Tensor, "rows d"],
    square: Float[Tensor, "rows d"],
    along: Float[Tensor, " rows"],
    factor: Float[Tensor, ""],
    valid: Bool[Tensor, ""],
    numbers: tuple[float, float, float, float],
    *,
    unit_rows: bool,
) -> None:
    """`compiled._adam_rows` where `valid`, nothing elsewhere. `numbers`: step, 1 − β₁, 1 − β₂, ε as it takes them."""
    d = parameter.shape[1]
    arrays = (parameter, gradient, mean, square, along, factor, valid.int())
    size = triton.next_power_of_2(d)
    options = {"UNIT": unit_rows, "D": size, "num_warps": warps_for(size)}
    _adam_rows_loop[(len(parameter),)](*arrays, *numbers, SMALLEST_SQUARE_NORM, d, **options)


def warps_for(size: int) -> int:
    """The warps of a program that holds a row of `size` numbers of four arrays: eight of each a thread, up to 8,192."""
    return min(32, max(4, size // 256))
