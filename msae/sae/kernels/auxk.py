"""AuxK with its gradients written out: dense, but over the dead latents only, and a block of rows at a time.

A block of pre-activations stays in the cache from the product that makes it to the last that reads it, and bounds the
memory: no array of batch × dead latents is held.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.products import keep_largest_per_row
from msae.sae.losses import Objective, auxk_budget, least_spread

BLOCK = 1 << 21


def add_auxk_gradients(
    sae: SparseAutoencoder,
    centred: Float[Tensor, "batch d_in"],
    residuals: dict[int, Float[Tensor, "batch d_in"]],
    objective: Objective,
    block: int = BLOCK,
) -> Float[Tensor, ""]:
    """Add ∂(α · AuxK) to the gradients already in `.grad` and return AuxK; see `losses.auxk_loss`.

    `centred`: x − b_dec. `residuals`: x − x̂ for each of the objective's AuxK widths. `block`: the most pre-activations
    held at once.
    """
    total = centred.new_zeros(())
    for level, (width, weight) in enumerate(zip(objective.auxk_widths, objective.auxk_weights, strict=True)):
        dead = _dead_latents(objective, level)
        if len(dead):
            factor, least = objective.auxk_alpha * weight, least_spread(len(centred), objective.variance)
            total += weight * _add_band(sae, centred, residuals[width], dead, factor, least, block)
    return total


def _dead_latents(objective: Objective, level: int) -> Int[Tensor, " dead"]:
    """The dead latents that an AuxK level adds, in order. A number that is known is not read from the device."""
    assert objective.dead is not None
    lo, hi = (0, *objective.auxk_widths)[level : level + 2]
    dead = objective.dead[lo:hi]
    if objective.n_dead is None:
        return dead.nonzero().squeeze(1) + lo
    return torch.argsort(~dead, stable=True)[: objective.n_dead[level]] + lo


def _add_band(
    sae: SparseAutoencoder,
    centred: Tensor,
    residual: Tensor,
    dead: Int[Tensor, " dead"],
    factor: float,
    least: float,
    block: int,
) -> Float[Tensor, ""]:
    """`factor` · ∂(‖r − r̂‖² / ‖r − r̄‖²) into the gradients, r̂ made by `dead`.

    Zero and nothing if it is not finite, or ‖r − r̄‖² not above `least`.
    """
    W_enc, W_dec, b_enc = sae.W_enc.T[dead], sae.W_dec[dead], sae.b_enc[dead]
    spread = (residual - residual.mean(0)).square().sum()
    budget = auxk_budget(sae.d_in, len(dead))
    into_encoder, into_decoder, into_bias = torch.zeros_like(W_enc), torch.zeros_like(W_dec), torch.zeros_like(b_enc)
    loss = torch.zeros_like(spread)
    n_rows = max(64, block // len(dead))
    for x, r in zip(centred.split(n_rows), residual.split(n_rows), strict=True):
        codes = keep_largest_per_row(torch.addmm(b_enc, x, W_enc.T), budget)
        error = torch.addmm(r, codes, W_dec, beta=-1)
        loss += error.square().sum() / spread
        pull = error.mul_(2 * factor / spread)
        slope = (pull @ W_dec.T).masked_fill_(codes == 0, 0.0)
        into_decoder.addmm_(codes.T, pull)
        into_encoder.addmm_(slope.T, x)
        into_bias += slope.sum(0)
    counts = torch.isfinite(loss) & (spread > least)
    for gradient in (into_decoder, into_encoder, into_bias):
        gradient.masked_fill_(~counts, 0.0)
    sae.W_dec.grad.index_add_(0, dead, into_decoder)  # type: ignore[union-attr]
    sae.W_enc.grad.T.index_add_(0, dead, into_encoder)  # type: ignore[union-attr]
    sae.b_enc.grad.index_add_(0, dead, into_bias)  # type: ignore[union-attr]
    sae.b_dec.grad.sub_(into_bias @ W_enc)  # type: ignore[union-attr]
    return torch.where(counts, loss, 0.0)
