"""What training takes of memory, known before it begins."""

from __future__ import annotations

from msae.activations.plan import format_bytes
from msae.core.errors import TrainingError
from msae.core.memory import bytes_available
from msae.sae.autoencoder import SparseAutoencoder

MOMENTS, GRADIENTS = 2, 1
_BLOCK_BYTES = 64 * 2**20
"""Codes, blocks of pre-activations and batches in flight, about."""


def weight_bytes(d_in: int, d_sae: int, itemsize: int = 4) -> int:
    """The parameters of an SAE: W_enc, W_dec, two biases and θ."""
    return (2 * d_in * d_sae + 2 * d_sae + d_in) * itemsize


def require_memory(d_in: int, d_sae: int, *, there: SparseAutoencoder | None = None, device: str = "cpu") -> int:
    """The bytes that training an SAE of that size takes: weights, gradients and Adam's two moments.

    `there`: the SAE, if its weights have been made already. Raises `TrainingError` when the device cannot give them.
    """
    own = weight_bytes(d_in, d_sae)
    needed = own * (GRADIENTS + MOMENTS + (there is None)) + _BLOCK_BYTES
    available = bytes_available(device)
    if available is not None and needed > available:
        raise TrainingError(
            f"training an SAE of d_in = {d_in:,} and d_sae = {d_sae:,} takes {format_bytes(needed)} of memory "
            f"(weights, gradients, Adam's moments), {device} has {format_bytes(available)} left: train fewer latents, "
            "or on another machine"
        )
    return own * (1 + GRADIENTS + MOMENTS) + _BLOCK_BYTES
