"""The dense reference: autograd over the loss as it is written down. Slow, and obviously right."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.codes import SparseCodes
from msae.sae.kernels.base import Kernel, StepResult, target_or_input
from msae.sae.losses import Losses, Objective, auxk_loss, level_losses


class ReferenceKernel(Kernel):
    """Dense pre-activations, one dense decode per prefix, gradients by autograd."""

    name = "reference"

    @classmethod
    def make(cls, block: int | None) -> ReferenceKernel:
        """It holds all pre-activations of a batch."""
        return cls()

    @classmethod
    def needs(cls, sae: SparseAutoencoder) -> str | None:
        """Nothing: it works on anything."""
        return None

    def step(
        self,
        sae: SparseAutoencoder,
        x: Float[Tensor, "batch d_in"],
        objective: Objective,
        target: Float[Tensor, "_ _"] | None = None,
    ) -> StepResult:
        """Losses, codes and gradients; see `Kernel.step`."""
        target = target_or_input(x, target)
        learning = [parameter for parameter in sae.parameters() if parameter.requires_grad]
        with torch.enable_grad():
            pre = sae.pre_activations(x)
            codes = sae.activation_fn.train_codes(pre, sae.threshold)
            losses = dense_losses(sae, target, pre, codes, objective)
            gradients = torch.autograd.grad(losses.total, learning, allow_unused=True)
        for parameter, gradient in zip(learning, gradients, strict=True):
            parameter.grad = torch.zeros_like(parameter) if gradient is None else gradient
        detached = Losses(
            levels=losses.levels.detach(),
            auxk=losses.auxk.detach(),
            penalty=losses.penalty.detach(),
            total=losses.total.detach(),
        )
        sparse = SparseCodes.from_dense(codes.detach())
        return StepResult(
            losses=detached,
            row=sparse.row,
            latent=sparse.latent,
            value=sparse.value,
            n_rows=sparse.n_rows,
            d_sae=sparse.d_sae,
            complete=torch.ones((), dtype=torch.bool, device=x.device),
        )


def dense_losses(
    sae: SparseAutoencoder,
    target: Float[Tensor, "batch d_in"],
    pre: Float[Tensor, "batch d_sae"],
    codes: Float[Tensor, "batch d_sae"],
    objective: Objective,
) -> Losses:
    """Every part of the loss, differentiable."""

    def prefixes(widths: tuple[int, ...]) -> Float[Tensor, "level batch d_in"]:
        return torch.stack([sae.b_dec + codes[:, :width] @ sae.W_dec[:width] for width in widths])

    levels = level_losses(target, prefixes(objective.widths), objective.variance)
    auxk = pre.new_zeros(())
    if objective.has_auxk:
        assert objective.dead is not None
        residuals = target - prefixes(objective.auxk_widths)
        auxk = auxk_loss(
            pre, sae.W_dec, residuals, objective.auxk_widths, objective.auxk_weights, objective.dead, objective.variance
        )
    penalty = sae.activation_fn.penalty(pre, codes, sae.W_dec, sae.threshold)
    total = (levels.new_tensor(objective.weights) * levels).sum() + objective.auxk_alpha * auxk + penalty
    return Losses(levels=levels, auxk=auxk, penalty=penalty, total=total)
