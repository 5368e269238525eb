"""How codes are chosen, as a plan that every kernel executes: which pre-activations compete, and for how many places.

A plan says it twice. `mask` is the choice on an array of all pre-activations, as plain as it can be written: the
reference kernel and dense encoding use it. Its fields are what a kernel needs that never holds all of them.

Of equal pre-activations the one that comes first in (row, latent) order is kept; none that fires is zero or less.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.sae.activation_fns.selection import largest, largest_per_row

Choice = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Plan(ABC):
    """What all plans have. `by_latent`: whether an entry's choice depends on no other entry."""

    by_latent: ClassVar[bool] = False

    @property
    def by_position(self) -> bool:
        """Whether latents in another order would be chosen otherwise (ties apart)."""
        return False

    @abstractmethod
    def mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """Which latents fire."""

    def fires(
        self, pre: Float[Tensor, " n"], latent: Int[Tensor, " n"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, " n"]:
        """Which of the entries that were found fire."""
        return pre > 0


@dataclass(frozen=True)
class BatchBudget(Plan):
    """The `k` · rows largest positive pre-activations of a batch, wherever they lie."""

    k: int | float

    def entries(self, n_rows: int) -> int:
        """How many codes a batch of `n_rows` may keep: at least one."""
        return max(1, round(self.k * n_rows))

    def mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """Which latents fire."""
        flat = pre.detach().reshape(-1)
        return (largest(flat, self.entries(pre.shape[0])) & (flat > 0)).reshape(pre.shape)


@dataclass(frozen=True)
class RowBudget(Plan):
    """The `k` largest positive pre-activations of each group of latents, in each row; latent j is in j mod `groups`."""

    k: int
    groups: int = 1

    @property
    def by_position(self) -> bool:
        """With groups: which group a latent is in follows from its place."""
        return self.groups > 1

    @property
    def codes_a_row(self) -> int:
        """How many codes a row may keep."""
        return self.k * self.groups

    def pool(self, row: Int[Tensor, " n"], latent: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        """The number of the pool in which an entry competes: one for each group of each row."""
        return row if self.groups == 1 else row * self.groups + latent % self.groups

    def mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """Which latents fire."""
        detached = pre.detach()
        keep = torch.zeros_like(detached, dtype=torch.bool)
        for group in range(self.groups):
            keep[:, group :: self.groups] = largest_per_row(detached[:, group :: self.groups], self.k)
        return keep & (detached > 0)


@dataclass(frozen=True)
class LatentFloor(Plan):
    """Every pre-activation above its latent's floor: max(θ_j, 0) where `uses_threshold`, else 0.

    `below`: how far beneath θ an entry counts as found all the same. It does not fire, but θ's gradient needs it.
    """

    by_latent: ClassVar[bool] = True
    uses_threshold: bool
    below: int | float = 0.0

    def floor(self, threshold: Float[Tensor, " d_sae"]) -> Float[Tensor, " d_sae"] | Float[Tensor, ""]:
        """What an entry must exceed to be found: one number per latent, or one for all."""
        if not self.uses_threshold:
            return threshold.new_zeros(())
        return threshold.detach() - self.below if self.below else threshold.detach().clamp_min(0)

    def mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """Which latents fire."""
        return (pre > threshold) & (pre > 0) if self.uses_threshold else pre > 0

    def fires(
        self, pre: Float[Tensor, " n"], latent: Int[Tensor, " n"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, " n"]:
        """Those above θ, for entries below it are found too."""
        return (pre > threshold[latent]) & (pre > 0) if self.uses_threshold else pre > 0


@dataclass(frozen=True)
class DenseChoice(Plan):
    """Whatever `choose` makes of pre-activations (batch, d_sae) and θ (d_sae): a mask, of which z ≤ 0 is left out.

    For a choice that the other plans cannot say. Its price: a kernel has to hold all pre-activations of a batch. With
    `by_row` a row's choice depends on that row alone; then encoding takes some rows at a time.
    """

    choose: Choice
    by_row: bool = True

    @property
    def by_position(self) -> bool:
        """Nobody knows what `choose` goes by."""
        return True

    def mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """Which latents fire."""
        detached = pre.detach()
        return self.choose(detached, threshold.detach()) & (detached > 0)


SearchPlan = BatchBudget | RowBudget | LatentFloor | DenseChoice
