"""Rows to fit a code on: an array, or the rows of a store, in order or shuffled."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from msae.activations.store import ActivationStore
from msae.core.errors import ConfigError
from msae.core.numerics import RowArray, as_rows
from msae.core.rng import torch_stream
from msae.core.spec import SourceSpec

Rows = RowArray | ActivationStore
Taken = Tensor | ActivationStore
BLOCK_ROWS = 8192
WHAT = "the array of rows"


def taken(rows: Rows) -> Taken:
    """An array as a tensor, a store as it is; `ConfigError` for what is not an array of rows, or empty."""
    if isinstance(rows, ActivationStore):
        return rows
    tensor = as_rows(rows, what=WHAT)
    if tensor.numel() == 0:
        raise ConfigError(f"{WHAT} has shape {tuple(tensor.shape)}: expected at least one row of one number")
    return tensor


def shape_of(rows: Taken) -> tuple[int, int]:
    """Rows, and numbers a row."""
    return (rows.n_rows, rows.d_in) if isinstance(rows, ActivationStore) else (rows.shape[0], rows.shape[1])


def source_of(rows: Taken) -> SourceSpec | None:
    """What made the rows; None for an array."""
    return rows.spec if isinstance(rows, ActivationStore) else None


def blocks(rows: Taken, size: int = BLOCK_ROWS) -> Iterator[Float[Tensor, "block d_in"]]:
    """The rows in order, as float32, some thousands at a time."""
    n_rows, _ = shape_of(rows)
    for start in range(0, n_rows, size):
        stop = min(start + size, n_rows)
        yield rows.rows(start, stop) if isinstance(rows, ActivationStore) else rows[start:stop].float()


def moments(rows: Taken) -> tuple[Float[Tensor, " d_in"], Float[Tensor, "d_in d_in"]]:
    """The mean and the covariance of the rows, in float64; `ConfigError` where one is not finite."""
    n_rows, d_in = shape_of(rows)
    total, second = torch.zeros(d_in, dtype=torch.float64), torch.zeros(d_in, d_in, dtype=torch.float64)
    for block in blocks(rows):
        exact = block.double()
        total += exact.sum(0)
        second += exact.T @ exact
    mean = total / n_rows
    if not torch.isfinite(second).all():
        raise ConfigError(f"of {n_rows} rows some hold values that are not finite: leave them out")
    return mean, second / n_rows - torch.outer(mean, mean)


def shuffled_indices(n_rows: int, batch_size: int, *, seed: int, name: str, start: int = 0) -> Iterator[Tensor]:
    """Endless batches of row numbers, each row once an epoch; `start` batches already taken are skipped.

    A batch never spans two epochs: the last `n_rows` mod `batch_size` rows of an epoch's order are left out of it.
    Where there are fewer rows than `batch_size`, a batch is all of them.
    """
    size = min(batch_size, n_rows)
    per_epoch = n_rows // size
    epoch, skip = divmod(start, per_epoch)
    while True:
        order = torch.randperm(n_rows, generator=torch_stream(seed, f"{name}/{epoch}"))
        yield from order[: per_epoch * size].split(size)[skip:]
        epoch, skip = epoch + 1, 0
