"""GroupedTopK: a budget in each group of a row's latents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from msae.core.config import require
from msae.sae.activation_fns.activation_fn import ActivationFunction, setting
from msae.sae.activation_fns.search_plan import RowBudget


@dataclass(frozen=True, kw_only=True)
class GroupedTopK(ActivationFunction):
    """The k / groups largest positive pre-activations of each of `groups` groups of latents, in every row.

    Latent j is in group j mod `groups`, so that every prefix has latents of every group: a level may use
    min(k / groups, the group's latents in its prefix) codes of each. With k = groups this is local winner-take-all
    (Srivastava et al. 2013, Compete to Compute).
    """

    l0_setting: ClassVar[str | None] = "k"
    whole_l0: ClassVar[bool] = True
    k: int
    groups: int = setting("Groups of latents that share k out evenly; k must be a multiple.", default=4)

    @classmethod
    def example(cls, d_sae: int) -> GroupedTopK:
        """Two groups."""
        return cls(k=2 * max(1, d_sae // 16), groups=2)

    def validate(self, d_sae: int) -> None:
        """k must be a multiple of `groups`, and no group may have fewer than k / groups latents."""
        ok = isinstance(self.groups, int) and 0 < self.groups <= d_sae
        require(ok, "groups", self.groups, f"a whole number of groups, at least 1, at most d_sae = {d_sae}")
        ok = isinstance(self.k, int) and self.k > 0 and self.k % self.groups == 0
        require(ok, "k", self.k, f"a multiple of groups = {self.groups}, above 0")
        most = d_sae // self.groups * self.groups
        require(self.k <= most, "k", self.k, f"at most {most}: {self.groups} groups of d_sae = {d_sae} latents")

    def train_plan(self) -> RowBudget:
        """The k / groups largest positive entries of each group of each row."""
        return RowBudget(self.k // self.groups, groups=self.groups)

    def eval_plan(self) -> RowBudget:
        """The same as while training."""
        return self.train_plan()

    def with_l0(self, l0: int | float) -> GroupedTopK:
        """The nearest multiple, of as many groups as `l0` fills: the largest divisor of `groups` not above it."""
        groups = max(n for n in range(1, self.groups + 1) if self.groups % n == 0 and n <= max(1, round(l0)))
        return replace(self, groups=groups, k=groups * max(1, round(l0 / groups)))

    def for_prefix(self, width: int, l0: float | None) -> GroupedTopK:
        """As `with_l0`, and at most what the prefix's groups hold."""
        fn = super().for_prefix(width, l0)
        return fn.with_l0(min(fn.k, width // fn.groups * fn.groups))
