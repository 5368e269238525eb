"""What a nesting is: which prefixes of the dictionary must reconstruct on their own.

A *level* is a prefix of the latents; level 0 is the smallest. To add a nesting: a class and an entry in `NESTINGS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Nesting(ABC):
    """How the latents are nested. `d_sae` is given to the methods, so that one nesting can serve several SAEs."""

    @abstractmethod
    def train_widths(self, d_sae: int, generator: torch.Generator) -> tuple[int, ...]:
        """The prefix widths of one training step, increasing, the last equal to `d_sae`."""

    @abstractmethod
    def eval_widths(self, d_sae: int) -> tuple[int, ...]:
        """The fixed prefix widths that every figure is given for, increasing, the last equal to `d_sae`."""

    @abstractmethod
    def weights(self, n_levels: int) -> tuple[float, ...]:
        """The weight of each of `n_levels` prefixes in the loss; they sum to one."""

    @classmethod
    def example(cls, d_sae: int) -> Nesting:
        """A small one that fits `d_sae` latents: what the contract tests and the docs try."""
        return cls()
