"""Which entries of a block exceed their row's floor: one pass over memory, where torch would take four.

Compiled by numba where it is installed (on the CPU); plain torch does the same elsewhere.
"""

from __future__ import annotations

import importlib.util

import torch
from jaxtyping import Float, Int
from torch import Tensor


def entries_above(
    block: Float[Tensor, "rows columns"], floor: Float[Tensor, " rows"]
) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """The (row, column) of every entry above its row's `floor`, in that order. `floor` has the block's dtype."""
    compiled = block.device.type == "cpu" and block.dtype in (torch.float32, torch.bfloat16) and has_numba()
    if not compiled:
        row, column = (block > floor[:, None]).nonzero(as_tuple=True)
        return row, column
    from msae.sae.kernels.compiled import scan_block

    block, floor = block.detach(), floor.detach()
    if block.dtype == torch.bfloat16:
        block, floor = _ordered_bits(block, floor)
    row, column = scan_block(block.numpy(), floor.numpy())
    return torch.from_numpy(row), torch.from_numpy(column)


def has_numba() -> bool:
    """Whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


def _ordered_bits(block: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """The bits of bf16 numbers as integers in the same order.

    As they are they compare rightly with any number from zero up; below zero their magnitude counts backwards.
    """
    floor = floor + 0.0  # turns −0 into 0
    bits, floor_bits = block.view(torch.int16), floor.view(torch.int16)
    if not (floor >= 0).all():
        bits, floor_bits = (b.bitwise_xor((b >> 15).bitwise_and_(0x7FFF)) for b in (bits, floor_bits))
    return bits, floor_bits
