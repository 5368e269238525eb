"""Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365) of what a model says, along codes at one position.

Codes f of a row x are turned down together, from f to 0, while what they leave unexplained stays as it is:
x(α) = x − (1 − α) Σ_j f_j W_dec[j]. Ablating a latent has the effect

    −f_j ∫₀¹ ∂m/∂f_j dα = −f_j ⟨W_dec[j], ∫₀¹ ∂m/∂x(α) dα⟩

on a metric m of the model's logits. So one mean gradient a row gives the effects of all its latents, and they sum to
m(x(0)) − m(x(1)). The integral is a mean over the middles of equal steps: exact where m is linear or quadratic in α.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from msae.activations.source import ContextBatch, PatchableSource

STEPS = 6
"""As Chanin et al. (arXiv:2409.14507) take."""

Metric = Callable[[Float[Tensor, "contexts vocab"]], Float[Tensor, " contexts"]]


def mean_gradient(
    source: PatchableSource,
    hook_name: str,
    batch: ContextBatch,
    place: int,
    explained: Float[Tensor, "contexts d_in"],
    metric: Metric,
    *,
    steps: int = STEPS,
) -> Float[Tensor, "contexts d_in"]:
    """∫₀¹ ∂m/∂x(α) dα of every context. `place`: the column whose row moves, by `explained` in all.

    `metric`: of the logits at the contexts' last position; one context's must depend on its own logits alone.
    """
    total = torch.zeros_like(explained)
    for step in range(steps):
        alpha = (step + 0.5) / steps
        total += _gradient(source, hook_name, batch, place, (alpha - 1) * explained, metric)
    return total / steps


def moved(place: int, by: Float[Tensor, "contexts d_in"]) -> Callable[[Tensor, Tensor], Tensor]:
    """A replacement that adds `by` at column `place`."""

    def replacement(
        activations: Float[Tensor, "batch context d_in"], keep: Bool[Tensor, "batch context"]
    ) -> Float[Tensor, "batch context d_in"]:
        rows = torch.arange(len(activations), device=activations.device)
        at = (rows, torch.full_like(rows, place))
        return activations.index_put(at, by.to(activations), accumulate=True)

    return replacement


@torch.enable_grad()
def _gradient(
    source: PatchableSource,
    hook_name: str,
    batch: ContextBatch,
    place: int,
    by: Float[Tensor, "contexts d_in"],
    metric: Metric,
) -> Float[Tensor, "contexts d_in"]:
    by = by.detach().requires_grad_()
    logits = source.logits(batch, {hook_name: moved(place, by)})
    (gradient,) = torch.autograd.grad(metric(logits[:, -1].float()).sum(), by)
    return gradient
