"""The step's loops for a GPU, in Triton. Imported only where Triton is installed, and when first needed.

With TRITON_INTERPRET=1 they run on a CPU, one program after the other: slow, for tests.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

ENTRIES = 16
TILE_ROWS, TILE_COLUMNS, TILE_DEPTH = 64, 128, 64


def _jit(function: Callable[..., Any]) -> Any:
    # The tests' shape checks wrap every function; Triton compiles what is inside.
    return triton.jit(inspect.unwrap(function))


def _sampled_product(A, B, row, column, out, n, d, D: tl.constexpr, N: tl.constexpr):  # type: ignore[no-untyped-def]
    entry = tl.program_id(0) * N + tl.arange(0, N)
    at_row = tl.load(row + entry, mask=entry < n, other=0)
    at_column = tl.load(column + entry, mask=entry < n, other=0)
    total = tl.zeros((N,), tl.float32)
    for start in range(0, d, D):
        c = start + tl.arange(0, D)
        inside = (entry < n)[:, None] & (c < d)[None, :]
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
    bias_slack,
    floor,
    found,
    count,
    room,
    n_rows,
    n_columns,
    d,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
):
    r = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    c = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, d, DEPTH):
        k = start + tl.arange(0, DEPTH)
        a = tl.load(x + r[:, None] * d + k[None, :], mask=(r < n_rows)[:, None] & (k < d)[None, :], other=0.0)
        b = tl.load(W + c[None, :] * d + k[:, None], mask=(c < n_columns)[None, :] & (k < d)[:, None], other=0.0)
        total = tl.dot(a, b, total)
    slack = tl.load(row_slack + r, mask=r < n_rows, other=0.0)[:, None]
    slack = slack * tl.load(column_slack + c, mask=c < n_columns, other=0.0)[None, :]
    shift = tl.load(bias + c, mask=c < n_columns, other=0.0) + tl.load(bias_slack + c, mask=c < n_columns, other=0.0)
    above = total + shift[None, :] + slack > tl.load(floor)
    above = above & (r < n_rows)[:, None] & (c < n_columns)[None, :]
    flags = tl.reshape(above.to(tl.int32), (ROWS * COLUMNS,))
    n_found = tl.sum(flags, 0)
    if n_found > 0:
        entry = tl.reshape(r.to(tl.int64)[:, None] * n_columns + c[None, :], (ROWS * COLUMNS,))
        at = tl.atomic_add(count, n_found) + tl.cumsum(flags, 0) - 1
        tl.store(found + at, entry, mask=(flags > 0) & (at < room))


_sampled_product_loop, _gathered_sums_loop, _pick_loop = (
    _jit(function) for function in (_sampled_product, _gathered_sums, _pick)
)


def sampled_product(
    A: Float[Tensor, "m d"], B: Float[Tensor, "n d"], row: Int[Tensor, " entries"], column: Int[Tensor, " entries"]
) -> Float[Tensor, " entries"]:
    """⟨A[row], B[column]⟩ for each entry, in float32."""
    out = A.new_empty(len(row))
    if len(row):
        A, B = A.detach().contiguous(), B.detach().contiguous()
        _sampled_product_loop[(triton.cdiv(len(row), ENTRIES),)](
            A, B, row, column, out, len(row), A.shape[1], D=128, N=ENTRIES
        )
    return out


def gathered_sums(
    source: Float[Tensor, "m d"],
    index: Int[Tensor, " entries"],
    weight: Float[Tensor, " entries"],
    offsets: Int[Tensor, " bags"],
) -> Float[Tensor, "bags d"]:
    """Σ weight · source[index] over each run of entries that begins at `offsets`."""
    d, ends = source.shape[1], torch.cat([offsets, offsets.new_tensor([len(index)])])
    out = source.new_empty(len(offsets), d)
    grid = (len(offsets), triton.cdiv(d, 256))
    _gathered_sums_loop[grid](source.detach().contiguous(), index, weight.contiguous(), ends, out, d, D=256)
    return out


def pick(
    x: Float[Tensor, "batch d"],
    W: Float[Tensor, "latents d"],
    bias: Float[Tensor, " latents"],
    row_slack: Float[Tensor, " batch"],
    column_slack: Float[Tensor, " latents"],
    bias_slack: Float[Tensor, " latents"],
    floor: Float[Tensor, ""],
    room: int,
) -> Int[Tensor, " n"]:
    """row · latents + latent, in order, of every entry that lies above `floor` when its product is made in bf16.

    An entry is raised by row_slack · column_slack + bias_slack first. No product leaves the multiprocessor that makes
    it: entries are counted on the device, and the pass is repeated if there are more than `room`.
    """
    x, W = x.bfloat16(), W.detach().bfloat16()
    if os.environ.get("TRITON_INTERPRET") == "1":  # the interpreter's tl.dot takes the bits of bf16 for whole numbers
        x, W = x.float(), W.float()
    while True:
        found, count = (
            torch.empty(room, dtype=torch.int64, device=x.device),
            torch.zeros(1, dtype=torch.int32, device=x.device),
        )
        sizes = (room, len(x), len(W), x.shape[1])
        tile = {"ROWS": TILE_ROWS, "COLUMNS": TILE_COLUMNS, "DEPTH": TILE_DEPTH}
        grid = (triton.cdiv(len(x), TILE_ROWS), triton.cdiv(len(W), TILE_COLUMNS))
        _pick_loop[grid](x, W, bias, row_slack, column_slack, bias_slack, floor, found, count, *sizes, **tile)
        n_found = int(count.item())
        if n_found <= room:
            return found[:n_found].sort().values
        room = n_found
