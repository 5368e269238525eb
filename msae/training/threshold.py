"""Calibrating θ: the threshold at which a sample has exactly the L0 requested."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from msae.core.errors import TrainingError
from msae.core.numerics import float64
from msae.sae.autoencoder import SparseAutoencoder

CHUNK_NUMBERS = 1 << 23


@torch.no_grad()
def calibrated_threshold(
    sae: SparseAutoencoder, batches: Iterable[Float[Tensor, "batch d_in"]], n_rows: int, l0: int | float
) -> float:
    """θ such that over the `n_rows` rows of `batches` the mean number of z > θ is `l0`, to within one code in all.

    Memory: about twice l0 · n_rows numbers, and one block of pre-activations. Raises `TrainingError` when there is no
    row. Where fewer pre-activations are positive than codes are requested, θ is 0, and a warning says so.
    """
    if n_rows == 0:
        raise TrainingError(
            "there are no rows to calibrate θ on: give finish() a holdout, or train for longer in batches of 32 or more"
        )
    count = max(1, round(l0 * n_rows))
    largest = torch.empty(0, dtype=sae.dtype, device=sae.device)
    floor = torch.zeros((), dtype=sae.dtype, device=sae.device)
    for batch in batches:
        for rows in batch.split(max(1, CHUNK_NUMBERS // sae.d_sae)):
            pre = sae.pre_activations(rows.to(sae.device, sae.dtype)).flatten()
            largest = torch.cat([largest, pre[pre > floor]])
            if largest.numel() > 2 * count + CHUNK_NUMBERS:
                largest = torch.topk(largest, count + 1).values
                floor = largest[-1]
    if largest.numel() <= count:
        warnings.warn(
            f"only {largest.numel() / n_rows:.2f} pre-activations a row are positive on the calibration rows, fewer "
            f"than the L0 of {l0} requested: θ is 0 and keeps them all. Ask for a smaller k, or train for longer",
            stacklevel=2,
        )
        return 0.0
    top = torch.topk(largest, count + 1).values
    return float64(top[-2:]).mean().item()
