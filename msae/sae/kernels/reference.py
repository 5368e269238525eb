"""The dense reference: autograd over the loss as it is written down. Slow, and obviously right."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from msae.sae.activation_fns import JumpReLU
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.codes import SparseCodes
from msae.sae.kernels.base import StepResult
from msae.sae.losses import Losses, Objective, auxk_loss, jump, level_losses, sparsity_penalty


class ReferenceKernel:
    """Dense pre-activations, one dense decode per prefix, gradients by autograd."""

    name = "reference"
    deferred = False

    def step(self, sae: SparseAutoencoder, x: Float[Tensor, "batch d_in"], objective: Objective) -> StepResult:
        """Losses, codes and gradients; see `Kernel.step`."""
        learning = [parameter for parameter in sae.parameters() if parameter.requires_grad]
        with torch.enable_grad():
            pre = sae.pre_activations(x)
            codes = codes_while_training(sae, pre)
            losses = dense_losses(sae, x, pre, codes, objective)
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


def codes_while_training(sae: SparseAutoencoder, pre: Float[Tensor, "batch d_sae"]) -> Float[Tensor, "batch d_sae"]:
    """Dense codes, differentiable, with JumpReLU's straight-through threshold."""
    if isinstance(sae.activation_fn, JumpReLU):
        return jump(pre, sae.threshold, sae.activation_fn.bandwidth)
    return torch.where(sae.activation_fn.train_mask(pre, sae.threshold), pre, 0.0)


def dense_losses(
    sae: SparseAutoencoder,
    x: Float[Tensor, "batch d_in"],
    pre: Float[Tensor, "batch d_sae"],
    codes: Float[Tensor, "batch d_sae"],
    objective: Objective,
) -> Losses:
    """Every part of the loss, differentiable."""

    def prefixes(widths: tuple[int, ...]) -> Float[Tensor, "level batch d_in"]:
        return torch.stack([sae.b_dec + codes[:, :width] @ sae.W_dec[:width] for width in widths])

    levels = level_losses(x, prefixes(objective.widths), objective.variance)
    auxk = penalty = pre.new_zeros(())
    if objective.has_auxk:
        assert objective.dead is not None
        residuals = x - prefixes(objective.auxk_widths)
        auxk = auxk_loss(pre, sae.W_dec, residuals, objective.auxk_widths, objective.auxk_weights, objective.dead)
    penalty = sparsity_penalty(sae.activation_fn, pre, codes, sae.W_dec, sae.threshold)
    total = (levels.new_tensor(objective.weights) * levels).sum() + objective.auxk_alpha * auxk + penalty
    return Losses(levels=levels, auxk=auxk, penalty=penalty, total=total)
