"""What a kernel is: the losses, codes and gradients of one batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.codes import SparseCodes
from msae.sae.losses import Losses, Objective


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a kernel found: the losses and the codes it trained on. Gradients lie in each parameter's `.grad`."""

    losses: Losses
    codes: SparseCodes


@runtime_checkable
class Kernel(Protocol):
    """Computes one step. It may keep buffers between steps, but no state that changes a result."""

    name: str

    def step(self, sae: SparseAutoencoder, x: Float[Tensor, "batch d_in"], objective: Objective) -> StepResult:
        """Set `.grad` of every parameter that learns to ∂L/∂parameter (overwriting) and return the losses and codes."""
        ...
