"""What a kernel is: the losses, codes and gradients of one batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.core.errors import ConfigError
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.codes import SparseCodes
from msae.sae.losses import Losses, Objective


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a kernel found: the losses and the codes it trained on. Gradients lie in each parameter's `.grad`.

    Codes are entries (`row`, `latent`, `value`) in that order; what did not fire has the value zero, and behind them
    there can be padding, with the value zero too. `complete` is false where a kernel that does not wait for its
    device had no room for all candidates: then everything here is void, the gradients too.
    """

    losses: Losses
    row: Int[Tensor, " entry"]
    latent: Int[Tensor, " entry"]
    value: Float[Tensor, " entry"]
    n_rows: int
    d_sae: int
    complete: Bool[Tensor, ""]

    @property
    def codes(self) -> SparseCodes:
        """The codes; the host waits for the device."""
        fired = self.value > 0
        return SparseCodes(self.row[fired], self.latent[fired], self.value[fired], self.n_rows, self.d_sae)

    def l0(self) -> Float[Tensor, ""]:
        """Mean number of codes a row."""
        return (self.value > 0).sum() / self.n_rows

    def fired(self) -> Bool[Tensor, " d_sae"]:
        """Which latents fired on any row."""
        counts = torch.zeros(self.d_sae, dtype=torch.int32, device=self.latent.device)
        return counts.index_add_(0, self.latent, (self.value > 0).int()) > 0

    def smallest(self) -> Float[Tensor, ""]:
        """The smallest code; infinite where there is none."""
        codes = torch.where(self.value > 0, self.value, torch.inf)
        return torch.cat([codes, codes.new_full((1,), torch.inf)]).min()


class Kernel(ABC):
    """Computes one step. It may keep buffers between steps, but no state that changes a result by more than rounding.

    `deferred`: it does not wait for its device, so that a step can be launched while the one before still runs; whether
    a result is `complete` must then be read later. A new kernel's first result always is.
    """

    name: ClassVar[str]
    deferred: ClassVar[bool] = False
    guess: float | None = None
    """What the next step's search begins with, learned from this one's. It decides how the work is cut up, and so the
    last bits of its sums: a new kernel that is given it goes on as the old one would. None: nothing learned yet."""

    @classmethod
    @abstractmethod
    def make(cls, block: int | None) -> Kernel:
        """A new one that holds at most `block` pre-activations at once (None: its own choice)."""

    @classmethod
    @abstractmethod
    def needs(cls, sae: SparseAutoencoder) -> str | None:
        """What `sae` would have to be, or this machine to have, for a step; None: it can be trained as it is."""

    @classmethod
    def is_for(cls, sae: SparseAutoencoder) -> bool:
        """Whether ``auto`` may take it for `sae`, as far as speed is concerned."""
        return True

    @abstractmethod
    def step(
        self,
        sae: SparseAutoencoder,
        x: Float[Tensor, "batch d_in"],
        objective: Objective,
        target: Float[Tensor, "_ _"] | None = None,
    ) -> StepResult:
        """Set `.grad` of every parameter that learns to ∂L/∂parameter (overwriting) and return the losses and codes.

        `target`: what every level is to reconstruct; None: `x`. `ConfigError` when its shape is not that of `x`.
        """


def target_or_input(x: Float[Tensor, "batch d_in"], target: Tensor | None) -> Float[Tensor, "batch d_in"]:
    """What a step is to reconstruct; `ConfigError` for a target of another shape than `x`."""
    if target is None:
        return x
    if target.shape != x.shape:
        raise ConfigError(f"the target has shape {tuple(target.shape)}, the batch {tuple(x.shape)}: they must agree")
    return target
