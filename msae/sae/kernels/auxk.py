"""AuxK with its gradients written out: dense, but over the dead latents only."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from msae.sae.activation_fns import largest_per_row
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.losses import Objective, auxk_budget


def add_auxk_gradients(
    sae: SparseAutoencoder,
    centred: Float[Tensor, "batch d_in"],
    residuals: dict[int, Float[Tensor, "batch d_in"]],
    objective: Objective,
) -> Float[Tensor, ""]:
    """Add ∂(α · AuxK) to the gradients already in `.grad` and return AuxK; see `losses.auxk_loss`.

    `centred`: x − b_dec. `residuals`: x − x̂ for each of the objective's AuxK widths.
    """
    assert objective.dead is not None
    total = centred.new_zeros(())
    bands = zip((0, *objective.auxk_widths), objective.auxk_widths, objective.auxk_weights, strict=False)
    for lo, hi, weight in bands:
        dead = objective.dead[lo:hi].nonzero().squeeze(1) + lo
        if len(dead) == 0:
            continue
        residual = residuals[hi]
        spread = (residual - residual.mean(0)).square().sum()
        W_enc, W_dec = sae.W_enc.T[dead], sae.W_dec[dead]
        z = torch.addmm(sae.b_enc[dead], centred, W_enc.T)
        codes = torch.where(largest_per_row(z, auxk_budget(sae.d_in, len(dead))) & (z > 0), z, 0.0)
        error = codes @ W_dec - residual
        loss = error.square().sum() / spread
        if not torch.isfinite(loss):
            continue
        total += weight * loss
        pull = error.mul_(2 * objective.auxk_alpha * weight / spread)
        code_gradient = torch.where(codes > 0, pull @ W_dec.T, 0.0)
        bias_gradient = code_gradient.sum(0)
        sae.W_dec.grad.index_add_(0, dead, codes.T @ pull)  # type: ignore[union-attr]
        sae.W_enc.grad.T.index_add_(0, dead, code_gradient.T @ centred)  # type: ignore[union-attr]
        sae.b_enc.grad.index_add_(0, dead, bias_gradient)  # type: ignore[union-attr]
        sae.b_dec.grad.sub_(bias_gradient @ W_enc)  # type: ignore[union-attr]
    return total
