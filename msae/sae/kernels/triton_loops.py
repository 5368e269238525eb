"""The step's loops for a GPU, in Triton. Imported only where Triton is installed, and when first needed.

With TRITON_INTERPRET=1 they run on a CPU, one program after the other: slow, for tests.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import triton
import triton.language as tl
from jaxtyping import Bool, Float, Int
from torch import Tensor

ENTRIES = 16
SMALLEST_SQUARE_NORM = 1e-24
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
TILES = ((64, 128, 4, 3), (128, 128, 8, 3), (128, 256, 8, 3), (128, 256, 8, 4))[: 1 if INTERPRETED else None]


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
    found,
    count,
    room,
    n_rows,
    n_columns,
    first,
    d_sae,
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
    c = tl.program_id(0) % in_group // height * COLUMNS + tl.arange(0, COLUMNS)
    x_rows, W_rows = x + r.to(tl.int64)[:, None] * d, W + c.to(tl.int64)[None, :] * d
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, d, DEPTH):
        k = start + tl.arange(0, DEPTH)
        a = tl.load(x_rows + k[None, :], mask=(r < n_rows)[:, None] & (k < d)[None, :], other=0.0)
        b = tl.load(W_rows + k[:, None], mask=(c < n_columns)[None, :] & (k < d)[:, None], other=0.0)
        total = tl.dot(a, b, total)
    slack = tl.load(row_slack + r, mask=r < n_rows, other=0.0)[:, None]
    slack = slack * tl.load(column_slack + c, mask=c < n_columns, other=0.0)[None, :]
    # The bias comes raised by what the sum can lose by being rounded, and lowered by the latent's floor.
    above = total + tl.load(bias + c, mask=c < n_columns, other=0.0)[None, :] + slack > tl.load(floor)
    above = above & (r < n_rows)[:, None] & (c < n_columns)[None, :]
    flags = tl.reshape(above.to(tl.int32), (ROWS * COLUMNS,))
    n_found = tl.sum(flags, 0)
    if n_found > 0:
        entry = tl.reshape(r.to(tl.int64)[:, None] * d_sae + (first + c)[None, :], (ROWS * COLUMNS,))
        at = tl.atomic_add(count, n_found) + tl.cumsum(flags, 0) - 1
        tl.store(found + at, entry, mask=(flags > 0) & (at < room))


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
# Which tile is fastest depends on the card; the first step on it tries them. The search only adds to its outputs, so
# they must be what they were before each try.
_pick_loop = triton.autotune(
    [
        triton.Config({"ROWS": rows, "COLUMNS": columns, "DEPTH": 64, "GROUP": 8}, num_warps=warps, num_stages=stages)
        for rows, columns, warps, stages in TILES
    ],
    key=["n_rows", "n_columns", "d"],
    restore_value=["found", "count"],
)(_jit(_pick))


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
    compared with `floor`.
    """

    x: Float[Tensor, "batch d"]
    W: Float[Tensor, "latents d"]
    bias: Float[Tensor, " latents"]
    row_slack: Float[Tensor, " batch"]
    column_slack: Float[Tensor, " latents"]
    floor: Float[Tensor, ""]


def pick(screen: Screen, first: int, d_sae: int, found: Int[Tensor, " room"], count: Int[Tensor, 1]) -> None:
    """Add row · d_sae + first + column of every entry above the floor to `found`, from `count` on and in no order.

    No product leaves the multiprocessor that makes it. `count` grows by the number of entries, also where they no
    longer fit; nobody waits for it.
    """
    n_rows, n_columns = len(screen.x), len(screen.W)
    sizes = (len(found), n_rows, n_columns, first, d_sae, screen.x.shape[1])
    bounds = (screen.bias, screen.row_slack, screen.column_slack, screen.floor)

    def grid(tile: dict[str, int]) -> tuple[int]:
        return (triton.cdiv(n_rows, tile["ROWS"]) * triton.cdiv(n_columns, tile["COLUMNS"]),)

    _pick_loop[grid](screen.x, screen.W, *bounds, found, count, *sizes)


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
    options = {"UNIT": unit_rows, "D": size, "num_warps": min(16, max(4, size // 512))}
    _adam_rows_loop[(len(parameter),)](*arrays, *numbers, SMALLEST_SQUARE_NORM, d, **options)
