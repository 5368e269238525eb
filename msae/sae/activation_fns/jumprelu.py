"""JumpReLU: a learned threshold per latent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from msae.core.checked import checked
from msae.core.config import require
from msae.sae.activation_fns.activation_fn import ActivationFunction, FoundCodes, OwnGradients, setting
from msae.sae.activation_fns.search_plan import LatentFloor


@checked
@dataclass(frozen=True, kw_only=True)
class JumpReLU(ActivationFunction):
    """f = z · 1[z > θ_j] with a learned threshold per latent (Rajamanoharan et al. 2024, arXiv:2407.14435).

    θ learns through a straight-through estimate with a rectangle kernel of width `bandwidth`, on activations scaled so
    that E‖x‖² = d_in; the penalty `coefficient` · (L0 / l0 − 1)² counts the full code once, not once per prefix.
    θ starts where the first batch has an L0 of `l0`.
    """

    learns_threshold: ClassVar[bool] = True
    has_penalty: ClassVar[bool] = True
    l0_setting: ClassVar[str | None] = "l0"
    saelens: ClassVar[str | None] = "jumprelu"
    l0: int | float
    bandwidth: int | float = setting(
        "Width of the rectangle through which θ learns, on scaled activations.", default=0.3
    )
    coefficient: int | float = setting("Weight of the penalty (L0 / target − 1)².", default=1.0)

    def __post_init__(self) -> None:
        require(self.bandwidth > 0, "bandwidth", self.bandwidth, "a positive width")
        require(self.coefficient >= 0, "coefficient", self.coefficient, "zero or more")

    def validate(self, d_sae: int) -> None:
        """l0 must lie in (0, d_sae]."""
        require(0 < self.l0 <= d_sae, "l0", self.l0, f"a target L0 above 0, at most d_sae = {d_sae}")

    def train_plan(self) -> LatentFloor:
        """z > θ (and above zero); what lies within half a bandwidth below θ is found too."""
        return LatentFloor(uses_threshold=True, below=self.bandwidth / 2)

    def eval_plan(self) -> LatentFloor:
        """z > θ (and above zero)."""
        return LatentFloor(uses_threshold=True)

    def train_codes(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Float[Tensor, "batch d_sae"]:
        """z · 1[z > θ] whose gradient in θ is −(θ/ε) · 1[|z − θ| < ε/2] (arXiv:2407.14435, eq. 11)."""
        return Jump.apply(pre, threshold, self.bandwidth)

    def penalty(
        self,
        pre: Float[Tensor, "batch d_sae"],
        codes: Float[Tensor, "batch d_sae"],
        W_dec: Float[Tensor, "d_sae d_in"],
        threshold: Float[Tensor, " d_sae"],
    ) -> Float[Tensor, ""]:
        """`coefficient` · (L0 / l0 − 1)²."""
        fires = Step.apply(pre, threshold, self.bandwidth)
        return self.coefficient * (fires.sum(1).mean() / self.l0 - 1).square()

    def own_gradients(
        self, found: FoundCodes, W_dec: Float[Tensor, "d_sae d_in"], threshold: Float[Tensor, " d_sae"]
    ) -> OwnGradients:
        """∂L/∂θ, through the codes and through the penalty."""
        l0 = found.fires.sum().to(found.upstream.dtype) / found.n_rows
        l0_slope = 2 * self.coefficient * (l0 / self.l0 - 1) / (self.l0 * found.n_rows)
        theta = threshold[found.latent]
        near = ((found.pre - theta).abs() < self.bandwidth / 2).to(theta.dtype)
        slope = -(found.upstream * theta + l0_slope) * near / self.bandwidth
        return OwnGradients(
            penalty=self.coefficient * (l0 / self.l0 - 1).square(),
            threshold=torch.zeros_like(threshold).index_add_(0, found.latent, slope),
        )

    def start_threshold(self, pre: Float[Tensor, "rows d_sae"]) -> Float[Tensor, ""]:
        """One number for all latents, above which the rows have an L0 of `l0`; zero at least."""
        count = max(1, min(round(self.l0 * pre.shape[0]), pre.numel()))
        return torch.topk(pre.flatten(), count).values[-1].clamp_min(0)


class Step(torch.autograd.Function):
    """1[z > θ] with the gradient −(1/ε) · 1[|z − θ| < ε/2] in θ and none in z (arXiv:2407.14435, eq. 12)."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: int | float) -> Tensor:
        """(batch, d_sae), (d_sae), ε → (batch, d_sae)."""
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return ((pre > threshold) & (pre > 0)).to(pre.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        """The gradient in θ."""
        pre, threshold = ctx.saved_tensors
        near = ((pre - threshold).abs() < ctx.bandwidth / 2).to(pre.dtype)
        return None, -(grad * near).sum(0) / ctx.bandwidth, None


class Jump(torch.autograd.Function):
    """z · 1[z > θ]; see `JumpReLU.train_codes`."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: int | float) -> Tensor:
        """(batch, d_sae), (d_sae), ε → (batch, d_sae)."""
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return torch.where((pre > threshold) & (pre > 0), pre, 0.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """Through z where it fires, through θ near it."""
        pre, threshold = ctx.saved_tensors
        fires = ((pre > threshold) & (pre > 0)).to(pre.dtype)
        near = ((pre - threshold).abs() < ctx.bandwidth / 2).to(pre.dtype)
        return grad * fires, -(grad * near).sum(0) * threshold / ctx.bandwidth, None
