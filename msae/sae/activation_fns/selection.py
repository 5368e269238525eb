"""The largest of some numbers, with one tie rule: of equal ones the first in (row, latent) order is kept."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def largest(values: Float[Tensor, " n"], count: int) -> Bool[Tensor, " n"]:
    """A mask of exactly min(count, n) largest values; among equal ones the earliest are kept."""
    if count >= values.numel():
        return torch.ones_like(values, dtype=torch.bool)
    cut = torch.kthvalue(values, values.numel() - count + 1).values if values.device.type == "cpu" else None
    if cut is None:
        cut = torch.topk(values, count, sorted=True).values[-1]
    above = values > cut
    ties = values == cut
    return above | (ties & (ties.cumsum(0) <= count - above.sum()))


def largest_per_row(values: Float[Tensor, "batch n"], count: int) -> Bool[Tensor, "batch n"]:
    """`largest` for every row."""
    if count >= values.shape[1]:
        return torch.ones_like(values, dtype=torch.bool)
    cut = torch.topk(values, count, dim=1, sorted=True).values[:, -1:]
    above = values > cut
    ties = values == cut
    return above | (ties & (ties.cumsum(1) <= count - above.sum(1, keepdim=True)))


def counts_per_pool(pool: Int[Tensor, " n"], n_pools: int) -> Int[Tensor, " pools"]:
    """How many entries each of `n_pools` pools has."""
    return torch.bincount(pool, minlength=n_pools)
