"""The sparse step in plain torch: one dense product (the encoder's forward), everything else touches the codes only.

With ŵ the normalised level weights and R_g = Σ_{h ≥ g} ŵ_h · 2(x̂_h − x) / (B · Var(x)), a latent j that level g is the
first to include has

    ∂L/∂f_bj = ⟨W_dec[j], R_g,b⟩                         ∂L/∂W_dec[j] = Σ_b f_bj R_g,b
    ∂L/∂W_enc[:, j] = Σ_b ∂L/∂f_bj (x_b − b_dec)         ∂L/∂b_dec = Σ_b R_0,b − W_enc ∂L/∂b_enc

so all levels together cost one sparse decode. Entries are kept in the order (band, row, latent): R is then one array of
G · B rows, and nesting changes nothing but an index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.sae.activation_fns import JumpReLU, ReLU
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.codes import SparseCodes
from msae.sae.kernels.auxk import add_auxk_gradients
from msae.sae.kernels.base import StepResult
from msae.sae.kernels.candidates import CandidateFinder, Entries
from msae.sae.kernels.products import gathered_sums, row_offsets, sampled_product, stable_order
from msae.sae.losses import Losses, Objective, step_factors, step_widths


@dataclass(frozen=True)
class Products:
    """The two sparse products of a step; see `products.sampled_product` and `products.gathered_sums`."""

    sampled: Callable[..., Tensor]
    gathered: Callable[..., Tensor]


@dataclass(frozen=True)
class _Banded:
    """A batch's entries in the order (band, row, latent). `slot` = band · n_rows + row indexes the (G · B) rows of R.

    `value` is the code: zero at JumpReLU's entries that lie just below θ.
    """

    slot: Int[Tensor, " n"]
    latent: Int[Tensor, " n"]
    pre: Float[Tensor, " n"]
    value: Float[Tensor, " n"]
    fires: Bool[Tensor, " n"]
    n_rows: int


class SparseKernel:
    """The sparse step on any torch device. `block`: the most pre-activations held at once."""

    name = "sparse"

    def __init__(self, block: int = 1 << 21) -> None:
        self._finder = CandidateFinder(block)
        self._products = Products(sampled=sampled_product, gathered=gathered_sums)

    @torch.no_grad()
    def step(self, sae: SparseAutoencoder, x: Float[Tensor, "batch d_in"], objective: Objective) -> StepResult:
        """Losses, codes and gradients; see `Kernel.step`."""
        sae.zero_grad(set_to_none=True)
        n_rows = x.shape[0]
        widths = step_widths(objective)
        centred = x - sae.b_dec
        touched = self._finder.selected(sae, centred)
        entries = _by_band(sae, touched, widths, n_rows)

        errors = _prefix_errors(sae, x, entries, len(widths), self._products)
        trained = [widths.index(width) for width in objective.widths]
        levels = torch.stack([errors[g].square().sum() for g in trained]) / (n_rows * objective.variance)
        residuals = {w: -errors[widths.index(w)] for w in objective.auxk_widths if objective.has_auxk}
        pull = _pull_inwards(errors, step_factors(objective, widths, n_rows))
        upstream = self._products.sampled(pull.view(-1, sae.d_in), sae.W_dec, entries.slot, entries.latent)
        penalty = _add_gradients(sae, centred, entries, pull, upstream, self._products)
        auxk = add_auxk_gradients(sae, centred, residuals, objective) if objective.has_auxk else x.new_zeros(())

        total = (levels * levels.new_tensor(objective.weights)).sum() + objective.auxk_alpha * auxk + penalty
        kept = touched.where(_fires(sae, touched))
        return StepResult(
            losses=Losses(levels=levels, auxk=auxk, penalty=penalty, total=total),
            codes=SparseCodes(kept.row, kept.latent, kept.pre, n_rows, sae.d_sae),
        )


def _fires(sae: SparseAutoencoder, entries: Entries) -> Bool[Tensor, " n"]:
    floor = sae.threshold[entries.latent].clamp_min(0) if sae.activation_fn.learns_threshold else 0.0
    return entries.pre > floor


def _by_band(sae: SparseAutoencoder, entries: Entries, widths: tuple[int, ...], n_rows: int) -> _Banded:
    band = torch.bucketize(entries.latent, entries.latent.new_tensor(widths), right=True)
    slot = band * n_rows + entries.row
    fires = _fires(sae, entries)
    value = torch.where(fires, entries.pre, 0.0)
    if len(widths) == 1:
        return _Banded(slot, entries.latent, entries.pre, value, fires, n_rows)
    order = torch.argsort(band, stable=True)
    return _Banded(slot[order], entries.latent[order], entries.pre[order], value[order], fires[order], n_rows)


def _prefix_errors(
    sae: SparseAutoencoder, x: Tensor, entries: _Banded, n_levels: int, products: Products
) -> Float[Tensor, "level b d_in"]:
    """x̂_g − x for every prefix: bands decoded once, then summed up in place."""
    offsets = row_offsets(entries.slot, n_levels * entries.n_rows)
    errors = products.gathered(sae.W_dec, entries.latent, entries.value, offsets).view(n_levels, *x.shape)
    errors[0] += sae.b_dec - x
    for level in range(1, n_levels):
        errors[level] += errors[level - 1]
    return errors


def _pull_inwards(errors: Tensor, factors: list[float]) -> Float[Tensor, "level b d_in"]:
    """R_g = Σ_{h ≥ g} factor_h (x̂_h − x), in place of the errors."""
    errors[-1] *= factors[-1]
    for level in range(len(factors) - 2, -1, -1):
        torch.add(errors[level + 1], errors[level], alpha=factors[level], out=errors[level])
    return errors


def _add_gradients(
    sae: SparseAutoencoder,
    centred: Tensor,
    entries: _Banded,
    pull: Tensor,
    upstream: Float[Tensor, " n"],
    products: Products,
) -> Float[Tensor, ""]:
    """Set every `.grad` from ∂L/∂f = `upstream`, and return the activation function's penalty."""
    fn, n_rows = sae.activation_fn, entries.n_rows
    code_gradient = torch.where(entries.fires, upstream, 0.0)
    penalty = upstream.new_zeros(())
    if isinstance(fn, ReLU):
        norm = sae.W_dec.norm(dim=1)
        code_gradient += fn.l1_coefficient / n_rows * norm[entries.latent]
        total_value = torch.zeros_like(norm).index_add_(0, entries.latent, entries.value)
        penalty = fn.l1_coefficient / n_rows * (total_value * norm).sum()
    if isinstance(fn, JumpReLU):
        l0 = entries.fires.sum().to(upstream.dtype) / n_rows
        penalty = fn.coefficient * (l0 / fn.l0 - 1).square()
        l0_slope = 2 * fn.coefficient * (l0 / fn.l0 - 1) / (fn.l0 * n_rows)
        theta = sae.threshold[entries.latent]
        near = ((entries.pre - theta).abs() < fn.bandwidth / 2).to(theta.dtype)
        slope = -(upstream * theta + l0_slope) * near / fn.bandwidth
        sae.threshold.grad = torch.zeros_like(sae.threshold).index_add_(0, entries.latent, slope)

    by_latent, ends = stable_order(entries.latent, sae.d_sae)
    offsets = torch.cat([ends.new_zeros(1), ends[:-1]])
    slot = entries.slot[by_latent]
    sae.W_dec.grad = products.gathered(pull.view(-1, sae.d_in), slot, entries.value[by_latent], offsets)
    sae.W_enc.grad = products.gathered(centred, slot % n_rows, code_gradient[by_latent], offsets).T
    sae.b_enc.grad = torch.zeros_like(sae.b_enc).index_add_(0, entries.latent, code_gradient)
    sae.b_dec.grad = pull[0].sum(0) - sae.W_enc @ sae.b_enc.grad
    if isinstance(fn, ReLU):
        sae.W_dec.grad += (fn.l1_coefficient / n_rows * total_value / norm)[:, None] * sae.W_dec
    return penalty
