"""BatchTopK: a budget over the whole batch while training, one threshold afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from msae.core.checked import checked
from msae.core.config import require
from msae.sae.activation_fns.activation_fn import ActivationFunction
from msae.sae.activation_fns.search_plan import BatchBudget, LatentFloor

THRESHOLD_MEMORY = 0.99


@checked
@dataclass(frozen=True)
class BatchTopK(ActivationFunction):
    """The k · batch largest positive pre-activations of a batch (Bussmann et al. 2024, arXiv:2412.06410).

    Chosen jointly over all latents; prefixes are taken afterwards. Once trained, f = z · 1[z > θ], θ calibrated so that
    k codes a row are kept on average. While training θ is a moving average of each batch's smallest code.
    """

    threshold_from_batches: ClassVar[bool] = True
    l0_setting: ClassVar[str | None] = "k"
    saelens: ClassVar[str | None] = "jumprelu"
    k: int | float

    def validate(self, d_sae: int) -> None:
        """k must lie in (0, d_sae]."""
        require(
            0 < self.k <= d_sae,
            "k",
            self.k,
            f"a mean number of codes a row, above 0, at most d_sae = {d_sae}",
        )

    def train_plan(self) -> BatchBudget:
        """The k · batch largest positive entries of the whole batch."""
        return BatchBudget(self.k)

    def eval_plan(self) -> LatentFloor:
        """z > θ (and above zero)."""
        return LatentFloor(uses_threshold=True)

    def moved_threshold(self, threshold: Float[Tensor, " d_sae"], smallest: Float[Tensor, ""]) -> Tensor:
        """A moving average; the first batch sets it."""
        first = torch.isnan(threshold[0])
        return torch.where(first, smallest, THRESHOLD_MEMORY * threshold + (1 - THRESHOLD_MEMORY) * smallest)
