"""Continuing from a trained SAE: a copy of it to train further, with other parts where they are given."""

from __future__ import annotations

import hashlib
import math

import torch

from msae.core.errors import ConfigError
from msae.sae.activation_fns import ActivationFunction
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.nesting import Nesting

UNIT_WITHIN = 1e-3


def warm_start(
    sae: SparseAutoencoder,
    *,
    activation_fn: ActivationFunction | None = None,
    nesting: Nesting | None = None,
    device: torch.device | str | None = None,
) -> SparseAutoencoder:
    """A copy of a trained `sae` for `train` or `Trainer` to continue from; None keeps the part it has.

    θ is kept where both activation functions use one, and else found anew from the first batch. Of a trained SAE the
    trainer keeps b_dec and brings b_enc, b_dec and θ into its own scale, so that a step that moves nothing changes
    nothing. Raises `ConfigError` for an SAE that was never trained, and as `SparseAutoencoder` does.
    """
    if not sae.trained:
        raise ConfigError("this SAE was never trained: there is nothing to continue from; train it, or load one")
    fn = sae.activation_fn if activation_fn is None else activation_fn
    copy = SparseAutoencoder(
        sae.d_in,
        sae.d_sae,
        fn,
        sae.nesting if nesting is None else nesting,
        encoder=sae.encoder,
        seed=sae.seed,
        dtype=sae.dtype,
        device=sae.device if device is None else device,
    )
    with torch.no_grad():
        for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
            copy.get_parameter(name).copy_(sae.get_parameter(name))
        if fn.uses_threshold:
            kept = sae.activation_fn.uses_threshold
            copy.threshold.copy_(sae.threshold if kept else torch.full_like(sae.threshold, math.nan))
    copy.source, copy.loaded_from, copy.trained = sae.source, sae.loaded_from, True
    return copy


def fingerprint(sae: SparseAutoencoder) -> str:
    """SHA-256 of the parameters: what a run continues from."""
    digest = hashlib.sha256()
    for name, parameter in sorted(sae.named_parameters()):
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def require_unit_rows(sae: SparseAutoencoder) -> None:
    """Raise `ConfigError` where training, which holds decoder rows to unit norm, would change what the SAE does."""
    norm = sae.W_dec.detach().norm(dim=1)
    wrong = int((((norm - 1).abs() > UNIT_WITHIN) & (norm > 0)).sum())
    if wrong:
        raise ConfigError(
            f"{wrong} of {sae.d_sae} decoder rows do not have unit norm, which training holds them to: continuing from "
            "this SAE would change its codes; train a new one"
        )
