"""No nesting."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from msae.core.checked import checked
from msae.sae.nesting.level_weights import normalised_weights
from msae.sae.nesting.scheme import Nesting


@checked
@dataclass(frozen=True, kw_only=True)
class Unnested(Nesting):
    """No nesting: the whole dictionary is the only prefix. The plain SAE, and the baseline of every comparison."""

    def train_widths(self, d_sae: int, generator: torch.Generator) -> tuple[int, ...]:
        """Only the full width."""
        return (d_sae,)

    def eval_widths(self, d_sae: int) -> tuple[int, ...]:
        """Only the full width."""
        return (d_sae,)

    def weights(self, n_levels: int) -> tuple[float, ...]:
        """The one prefix has all the weight."""
        return normalised_weights("equal", n_levels)
