"""Activation functions: which pre-activations become codes.

Each is a frozen config with pure functions: it holds no tensor. Thresholds live in the SAE. To add one: a subclass and
one entry in `ACTIVATION_FNS`.

Every selection has one tie rule, so that all kernels agree: of equal pre-activations the one that comes first in
(row, latent) order is kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.core.config import require


@dataclass(frozen=True, kw_only=True)
class ActivationFunction(ABC):
    """Chooses codes f from pre-activations z = (x − b_dec) W_enc + b_enc. A kept code is positive and equals its z."""

    learns_threshold: ClassVar[bool] = False
    threshold_from_batches: ClassVar[bool] = False

    @abstractmethod
    def validate(self, d_sae: int) -> None:
        """Raise `ConfigError` when the setting makes no sense for `d_sae` latents."""

    @abstractmethod
    def train_mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """Which latents fire, while training."""

    @abstractmethod
    def eval_mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """Which latents fire, once trained."""

    @abstractmethod
    def target_l0(self) -> int | float | None:
        """The L0 asked for, or None where none is."""


@dataclass(frozen=True)
class BatchTopK(ActivationFunction):
    """The k · batch largest positive pre-activations of a batch (Bussmann et al. 2024, arXiv:2412.06410).

    Chosen jointly over all latents; prefixes are taken afterwards. Once trained, f = z · 1[z > θ], θ calibrated so that
    k codes a row are kept on average.
    """

    threshold_from_batches: ClassVar[bool] = True
    k: int | float

    def validate(self, d_sae: int) -> None:
        """k must lie in (0, d_sae]."""
        require(
            0 < self.k <= d_sae,
            "k",
            self.k,
            f"a mean number of codes a row, above 0, at most d_sae = {d_sae}",
        )

    def budget(self, n_rows: int) -> int:
        """How many codes a batch of `n_rows` may keep."""
        return max(1, round(self.k * n_rows))

    def train_mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """The `budget` largest positive entries of the whole batch."""
        flat = pre.detach().reshape(-1)
        return (largest(flat, self.budget(pre.shape[0])) & (flat > 0)).reshape(pre.shape)

    def eval_mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """z > θ (and above zero)."""
        return (pre > threshold) & (pre > 0)

    def target_l0(self) -> float:
        """k."""
        return float(self.k)


@dataclass(frozen=True)
class TopK(ActivationFunction):
    """The k largest positive pre-activations of each row (Gao et al. 2024, arXiv:2406.04093)."""

    k: int

    def validate(self, d_sae: int) -> None:
        """k must be a whole number in [1, d_sae]."""
        ok = isinstance(self.k, int) and 0 < self.k <= d_sae
        require(ok, "k", self.k, f"a whole number of codes a row, at least 1, at most d_sae = {d_sae}")

    def train_mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """The k largest positive entries of each row."""
        detached = pre.detach()
        return largest_per_row(detached, self.k) & (detached > 0)

    def eval_mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """The same as while training."""
        return self.train_mask(pre, threshold)

    def target_l0(self) -> float:
        """k."""
        return float(self.k)


@dataclass(frozen=True, kw_only=True)
class JumpReLU(ActivationFunction):
    """f = z · 1[z > θ_j] with a learned threshold per latent (Rajamanoharan et al. 2024, arXiv:2407.14435).

    θ learns through a straight-through estimate with a rectangle kernel of width `bandwidth`, on activations scaled so
    that E‖x‖² = d_in; the penalty `coefficient` · (L0 / l0 − 1)² counts the full code once, not once per prefix.
    θ starts where the first batch has an L0 of `l0`.
    """

    learns_threshold: ClassVar[bool] = True
    threshold_from_batches: ClassVar[bool] = False
    l0: int | float
    bandwidth: int | float = 0.3
    coefficient: int | float = 1.0

    def __post_init__(self) -> None:
        require(self.bandwidth > 0, "bandwidth", self.bandwidth, "a positive width")
        require(self.coefficient >= 0, "coefficient", self.coefficient, "zero or more")

    def validate(self, d_sae: int) -> None:
        """l0 must lie in (0, d_sae]."""
        require(0 < self.l0 <= d_sae, "l0", self.l0, f"a target L0 above 0, at most d_sae = {d_sae}")

    def train_mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """z > θ (and above zero)."""
        return (pre > threshold) & (pre > 0)

    def eval_mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """z > θ (and above zero)."""
        return self.train_mask(pre, threshold)

    def target_l0(self) -> float:
        """The target of the penalty."""
        return float(self.l0)


@dataclass(frozen=True, kw_only=True)
class ReLU(ActivationFunction):
    """f = max(z, 0) with the penalty `l1_coefficient` · Σ_j f_j ‖W_dec_j‖, mean over rows, counted once."""

    l1_coefficient: int | float

    def __post_init__(self) -> None:
        require(self.l1_coefficient >= 0, "l1_coefficient", self.l1_coefficient, "zero or more")

    def validate(self, d_sae: int) -> None:
        """Any d_sae will do."""

    def train_mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """z > 0."""
        return pre > 0

    def eval_mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """z > 0."""
        return pre > 0

    def target_l0(self) -> None:
        """None: the L0 follows from the coefficient."""
        return None


ACTIVATION_FNS: dict[str, type[ActivationFunction]] = {cls.__name__: cls for cls in (BatchTopK, TopK, JumpReLU, ReLU)}


def largest(values: Float[Tensor, " n"], count: int) -> Bool[Tensor, " n"]:
    """A mask of exactly min(count, n) largest values; among equal ones the earliest are kept."""
    if count >= values.numel():
        return torch.ones_like(values, dtype=torch.bool)
    cut = torch.kthvalue(values, values.numel() - count + 1).values if values.device.type == "cpu" else None
    if cut is None:
        cut = torch.topk(values, count, sorted=True).values[-1]
    above = values > cut
    ties = values == cut
    return above | (ties & (ties.cumsum(0) <= count - above.sum()))


def largest_per_row(values: Float[Tensor, "batch n"], count: int) -> Bool[Tensor, "batch n"]:
    """`largest` for every row."""
    if count >= values.shape[1]:
        return torch.ones_like(values, dtype=torch.bool)
    cut = torch.topk(values, count, dim=1, sorted=True).values[:, -1:]
    above = values > cut
    ties = values == cut
    return above | (ties & (ties.cumsum(1) <= count - above.sum(1, keepdim=True)))


def counts_per_row(row: Int[Tensor, " n"], n_rows: int) -> Int[Tensor, " rows"]:
    """How many entries each of `n_rows` rows has."""
    return torch.bincount(row, minlength=n_rows)
