"""The same SAE with other prefixes: its latents in another order, or other widths. Codes are the same, permuted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from msae.core.errors import ConfigError
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.nesting import FixedPrefixes, Nesting, Unnested


def reordered(sae: SparseAutoencoder, order: Int[Tensor, " d_sae"]) -> SparseAutoencoder:
    """A copy whose latent j is latent ``order[j]`` of `sae`, with the same prefix widths and nothing recorded.

    Codes are the same, permuted. Raises `ConfigError` unless `order` names every latent once, and for an activation
    function that chooses by a latent's place (GroupedTopK), whose codes would be others.
    """
    if sae.activation_fn.eval_plan().by_position:
        raise ConfigError(f"{sae.activation_fn} chooses by a latent's place: in another order it has other codes")
    if not torch.equal(order.sort().values.cpu(), torch.arange(sae.d_sae)):
        raise ConfigError(f"order: expected every latent 0 … {sae.d_sae - 1} once, got {tuple(order.shape)} numbers")
    return _copied(sae, sae.nesting, order.to(sae.device))


def with_widths(sae: SparseAutoencoder, widths: Sequence[int]) -> SparseAutoencoder:
    """A copy with other prefix widths (cumulative, ending at d_sae; one width: no levels) and nothing recorded.

    Raises `ConfigError` for widths that do not increase or do not end at d_sae.
    """
    return _copied(sae, nesting_of(widths, sae.d_sae), torch.arange(sae.d_sae, device=sae.device))


def nesting_of(widths: Sequence[int] | None, d_sae: int) -> Nesting:
    """The nesting with these prefix widths; `Unnested` for None or the full width alone."""
    return Unnested() if widths is None or tuple(widths) == (d_sae,) else FixedPrefixes(tuple(widths))


def _copied(sae: SparseAutoencoder, nesting: Nesting, order: Int[Tensor, " d_sae"]) -> SparseAutoencoder:
    out = SparseAutoencoder(
        sae.d_in, sae.d_sae, sae.activation_fn, nesting, encoder=sae.encoder, dtype=sae.dtype, device=sae.device
    )
    with torch.no_grad():
        out.W_dec.copy_(sae.W_dec[order])
        out.W_enc.copy_(sae.W_enc[:, order])
        out.b_enc.copy_(sae.b_enc[order])
        out.threshold.copy_(sae.threshold[order])
        out.b_dec.copy_(sae.b_dec)
    out.source, out.trained, out.loaded_from = sae.source, sae.trained, sae.loaded_from
    return out.train(sae.training)
