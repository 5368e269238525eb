"""One optimiser step under the constraint that decoder rows have unit norm."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from msae.sae.autoencoder import SparseAutoencoder


@torch.no_grad()
def constrained_step(sae: SparseAutoencoder, optimiser: torch.optim.Optimizer, grad_clip: float) -> Float[Tensor, ""]:
    """Project, clip, step, renormalise; returns the gradient norm before clipping (0-d).

    The part of each decoder row's gradient along the row is projected out first, so that clipping sees only what can
    move; rows are brought back to unit norm after the step. Thresholds never go below zero.
    """
    W, gradient = sae.W_dec, sae.W_dec.grad
    assert gradient is not None
    along = torch.linalg.vecdot(gradient, W)
    gradient.addcmul_(along[:, None], W, value=-1)
    learning = [parameter for parameter in sae.parameters() if parameter.requires_grad]
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in learning if parameter.grad is not None])
    torch.nn.utils.clip_grads_with_norm_(learning, grad_clip, norm)
    optimiser.step()
    W /= W.norm(dim=1, keepdim=True).clamp_min(1e-12)
    if sae.threshold.requires_grad:
        sae.threshold.clamp_(min=0)
    return norm
