"""Fixed prefixes: the Matryoshka SAE."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from msae.core.checked import checked
from msae.core.config import require
from msae.sae.nesting.level_weights import LevelWeights, normalised_weights, require_widths
from msae.sae.nesting.scheme import Nesting


@checked
@dataclass(frozen=True)
class FixedPrefixes(Nesting):
    """The same prefixes at every step (Bussmann et al. 2025, arXiv:2503.17547).

    `widths`: cumulative, increasing, ending at d_sae. `level_weights`: ``equal``, ``balanced`` (level g of G weighs
    0.75^(G−1−g): inner levels hedge less, absorb more), or one positive number per level.
    """

    widths: tuple[int, ...]
    level_weights: LevelWeights = "equal"

    def __post_init__(self) -> None:
        require_widths(self.widths)
        normalised_weights(self.level_weights, len(self.widths))

    def train_widths(self, d_sae: int, generator: torch.Generator) -> tuple[int, ...]:
        """The given widths."""
        return self.eval_widths(d_sae)

    def eval_widths(self, d_sae: int) -> tuple[int, ...]:
        """The given widths; `ConfigError` if they do not end at `d_sae`."""
        require(self.widths[-1] == d_sae, "widths", self.widths, f"increasing widths that end at d_sae = {d_sae}")
        return self.widths

    def weights(self, n_levels: int) -> tuple[float, ...]:
        """The level weights, normalised."""
        return normalised_weights(self.level_weights, n_levels)

    @classmethod
    def example(cls, d_sae: int) -> FixedPrefixes:
        """A quarter of the latents, and all."""
        return cls(tuple(sorted({max(1, d_sae // 4), d_sae})))
