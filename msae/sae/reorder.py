"""The same SAE with its latents in another order: the same codes and reconstructions, other prefixes."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from msae.core.errors import ConfigError
from msae.sae.autoencoder import SparseAutoencoder


def reordered(sae: SparseAutoencoder, order: Int[Tensor, " d_sae"]) -> SparseAutoencoder:
    """A copy whose latent j is latent ``order[j]`` of `sae`, with the same prefix widths and nothing recorded.

    Only where latents are chosen without regard to levels are the codes the same, permuted (every activation function
    here but a grouped one). Raises `ConfigError` unless `order` names every latent once.
    """
    if not torch.equal(order.sort().values.cpu(), torch.arange(sae.d_sae)):
        raise ConfigError(f"order: expected every latent 0 … {sae.d_sae - 1} once, got {tuple(order.shape)} numbers")
    out = SparseAutoencoder(sae.d_in, sae.d_sae, sae.activation_fn, sae.nesting, dtype=sae.dtype, device=sae.device)
    order = order.to(sae.device)
    with torch.no_grad():
        out.W_dec.copy_(sae.W_dec[order])
        out.W_enc.copy_(sae.W_enc[:, order])
        out.b_enc.copy_(sae.b_enc[order])
        out.threshold.copy_(sae.threshold[order])
        out.b_dec.copy_(sae.b_dec)
    out.source = sae.source
    return out.train(sae.training)
