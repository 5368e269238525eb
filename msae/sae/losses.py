"""The training loss, every reduction stated. Here as plain differentiable torch: what the kernels must equal.

    L = Σ_g ŵ_g · mean_rows ‖x − x̂_g‖² / Var(x)  +  α · AuxK  +  penalty        (Σ_g ŵ_g = 1)

Var(x) = E‖x − x̄‖² is a constant of the scaling sample, so every term is a fraction of variance unexplained.
"""

from __future__ import annotations

from dataclasses import dataclass

import einops
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from msae.sae.activation_fns.selection import largest_per_row


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One step's loss, apart from the SAE and the batch.

    `widths`, `weights`: the step's prefixes and their normalised weights. `variance`: Var(x) of the scaling sample.
    `auxk_alpha`: α. `auxk_widths`: the prefixes whose residuals dead latents reconstruct (one width, d_sae: a single
    residual), `auxk_weights` their normalised weights. `dead`: which latents are dead; None or α = 0 leaves AuxK out.
    `n_dead`: how many of them each AuxK width adds, where that is known without asking the device.
    """

    widths: tuple[int, ...]
    weights: tuple[float, ...]
    variance: float
    auxk_alpha: float = 0.0
    auxk_widths: tuple[int, ...] = ()
    auxk_weights: tuple[float, ...] = ()
    dead: Bool[Tensor, " d_sae"] | None = None
    n_dead: tuple[int, ...] | None = None

    @property
    def has_auxk(self) -> bool:
        """Whether AuxK takes part."""
        return self.auxk_alpha > 0 and self.dead is not None


def step_widths(objective: Objective) -> tuple[int, ...]:
    """Every prefix a step must reconstruct: those it trains, and those whose residual AuxK needs."""
    return tuple(sorted({*objective.widths, *(objective.auxk_widths if objective.has_auxk else ())}))


def step_factors(objective: Objective, widths: tuple[int, ...], n_rows: int) -> list[float]:
    """2 ŵ_g / (B · Var(x)) for each of `step_widths`, zero for one that only AuxK needs."""
    weight = dict(zip(objective.widths, objective.weights, strict=True))
    return [2 * weight.get(width, 0.0) / (n_rows * objective.variance) for width in widths]


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The parts of the loss: `levels` one FVU-like number per prefix, the rest 0-d; `total` is what is minimised."""

    levels: Float[Tensor, " level"]
    auxk: Float[Tensor, ""]
    penalty: Float[Tensor, ""]
    total: Float[Tensor, ""]


def level_losses(
    x: Float[Tensor, "batch d_in"], reconstructions: Float[Tensor, "level batch d_in"], variance: float
) -> Float[Tensor, " level"]:
    """mean_rows ‖x − x̂_g‖² / Var(x), one number per level."""
    squares = (x - reconstructions).square()
    return einops.reduce(squares, "level batch d_in -> level", "sum") / (x.shape[0] * variance)


def auxk_loss(
    pre: Float[Tensor, "batch d_sae"],
    W_dec: Float[Tensor, "d_sae d_in"],
    residuals: Float[Tensor, "level batch d_in"],
    widths: tuple[int, ...],
    weights: tuple[float, ...],
    dead: Bool[Tensor, " d_sae"],
    variance: float,
) -> Float[Tensor, ""]:
    """Σ_g ŵ_g ‖r_g − r̂_g‖² / ‖r_g − mean r_g‖², where r̂_g is made by the dead latents that level g adds.

    After Gao et al. 2024 (arXiv:2406.04093, App. A.2), per level: each row uses its min(d_in / 2, n_dead) largest dead
    latents, ReLU'd, without bias; residuals are detached; a level without dead latents, or whose residual does not
    vary (see `least_spread`; `variance` is Var(x)), counts as zero. `pre` must carry gradients, so that the encoder
    learns too.
    """
    total = pre.new_zeros(())
    for level, (lo, hi) in enumerate(zip((0, *widths), widths, strict=False)):
        chosen = dead[lo:hi].nonzero().squeeze(1) + lo
        if chosen.numel() == 0:
            continue
        z = pre[:, chosen]
        keep = largest_per_row(z.detach(), auxk_budget(W_dec.shape[1], chosen.numel())) & (z.detach() > 0)
        residual = residuals[level].detach()
        error = (residual - torch.where(keep, z, 0.0) @ W_dec[chosen]).square().sum()
        spread = (residual - residual.mean(0)).square().sum()
        unexplained = error / spread
        if torch.isfinite(unexplained) and spread > least_spread(
            len(residual), variance
        ):  # replacing it afterwards would leave its gradient NaN
            total = total + weights[level] * unexplained
    return total


def least_spread(n_rows: int, variance: float) -> float:
    """The ‖r − mean r‖² of `n_rows` residuals below which they do not vary: a millionth of what the rows themselves do.

    What is left of rows that are all equal is rounding; divided by, it would make a loss of 10¹² and more.
    """
    return 1e-6 * n_rows * variance


def auxk_budget(d_in: int, n_dead: int) -> int:
    """How many dead latents a row may use: min(d_in / 2, n_dead), at least one."""
    return min(max(1, d_in // 2), n_dead)
