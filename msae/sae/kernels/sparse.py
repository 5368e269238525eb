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
from torch.profiler import record_function

from msae.sae.activation_fns.activation_fn import FoundCodes
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.auxk import BLOCK, add_auxk_gradients
from msae.sae.kernels.base import Kernel, StepResult, target_or_input
from msae.sae.kernels.candidates import CandidateFinder, Entries
from msae.sae.kernels.products import gathered_sums, on_device, row_offsets, sampled_product, stable_order
from msae.sae.losses import Losses, Objective, step_factors, step_widths


@dataclass(frozen=True)
class Products:
    """The sparse products of a step, and the order they need: see the functions of the same names in `products`."""

    sampled: Callable[..., Tensor] = sampled_product
    gathered: Callable[..., Tensor] = gathered_sums
    order: Callable[..., tuple[Tensor, Tensor]] = stable_order


@dataclass(frozen=True)
class _Banded:
    """A batch's entries in the order (band, row, latent). `slot` = band · n_rows + row indexes the (G · B) rows of R.

    `starts`: where the run of each slot begins, and where the last one ends; what lies behind is padding, which has a
    slot and a latent that exist, never fires, and has the value zero. `latent_key`: the latent, d_sae for padding.
    `value` is the code: zero at JumpReLU's entries that lie just below θ.
    """

    slot: Int[Tensor, " n"]
    latent: Int[Tensor, " n"]
    latent_key: Int[Tensor, " n"]
    pre: Float[Tensor, " n"]
    value: Float[Tensor, " n"]
    fires: Bool[Tensor, " n"]
    starts: Int[Tensor, " slots_and_end"]
    n_rows: int


class SparseKernel(Kernel):
    """The sparse step on any torch device. `block`: the most pre-activations held at once."""

    name = "sparse"

    def __init__(self, block: int = 1 << 21) -> None:
        self._finder = CandidateFinder(block)
        self._products = Products()
        self._auxk_block = BLOCK

    @property
    def guess(self) -> float | None:
        """See `Kernel.guess`."""
        return self._finder.guess

    @guess.setter
    def guess(self, value: float | None) -> None:
        self._finder.guess = value

    @classmethod
    def make(cls, block: int | None) -> SparseKernel:
        """See `Kernel.make`."""
        return cls() if block is None else cls(block)

    @classmethod
    def needs(cls, sae: SparseAutoencoder) -> str | None:
        """An encoder that is one product."""
        return None if sae.encoder.one_product else "an encoder that is one product, such as Linear"

    def _select(self, sae: SparseAutoencoder, centred: Tensor) -> tuple[Entries, Bool[Tensor, ""]]:
        """The entries of a step, and whether they are all there."""
        return self._finder.selected(sae, centred), torch.ones((), dtype=torch.bool, device=centred.device)

    @torch.no_grad()
    def step(
        self,
        sae: SparseAutoencoder,
        x: Float[Tensor, "batch d_in"],
        objective: Objective,
        target: Float[Tensor, "_ _"] | None = None,
    ) -> StepResult:
        """Losses, codes and gradients; see `Kernel.step`."""
        target = target_or_input(x, target)
        sae.zero_grad(set_to_none=True)
        n_rows = x.shape[0]
        widths = step_widths(objective)
        with record_function("msae::select"):
            centred = x - sae.b_dec
            touched, complete = self._select(sae, centred)
        fires = sae.activation_fn.train_plan().fires(touched.pre, touched.latent, sae.threshold)
        entries = _by_band(touched, fires, on_device(widths, touched.latent), n_rows, sae.d_sae)

        with record_function("msae::decode"):
            errors = _prefix_errors(sae, target, entries, len(widths), self._products)
            trained = [widths.index(width) for width in objective.widths]
            levels = torch.stack([errors[g].square().sum() for g in trained]) / (n_rows * objective.variance)
            residuals = {w: -errors[widths.index(w)] for w in objective.auxk_widths if objective.has_auxk}
            pull = _pull_inwards(errors, step_factors(objective, widths, n_rows))
            upstream = self._products.sampled(pull.view(-1, sae.d_in), sae.W_dec, entries.slot, entries.latent)
        with record_function("msae::gradients"):
            penalty = _add_gradients(sae, centred, entries, pull, upstream, self._products)
        auxk = x.new_zeros(())
        if objective.has_auxk:
            with record_function("msae::auxk"):
                auxk = add_auxk_gradients(sae, centred, residuals, objective, self._auxk_block)

        total = (levels * on_device(objective.weights, levels)).sum() + objective.auxk_alpha * auxk + penalty
        return StepResult(
            losses=Losses(levels=levels, auxk=auxk, penalty=penalty, total=total),
            row=touched.row,
            latent=touched.latent,
            value=torch.where(fires, touched.pre, 0.0),
            n_rows=n_rows,
            d_sae=sae.d_sae,
            complete=complete,
        )


def _by_band(
    entries: Entries, fires: Bool[Tensor, " n"], widths: Int[Tensor, " level"], n_rows: int, d_sae: int
) -> _Banded:
    n_bands = len(widths)
    padding = entries.row == n_rows
    band = torch.bucketize(entries.latent, widths, right=True).masked_fill_(padding, n_bands)
    order = torch.argsort(band, stable=True)
    band, row, latent, pre, fires, padding = (
        array[order] for array in (band, entries.row, entries.latent, entries.pre, fires, padding)
    )
    slot = (band * n_rows + row).masked_fill_(padding, n_bands * n_rows)
    return _Banded(
        slot=slot.clamp_max(n_bands * n_rows - 1),
        latent=latent,
        latent_key=latent.masked_fill(padding, d_sae),
        pre=pre,
        value=torch.where(fires, pre, 0.0),
        fires=fires,
        starts=row_offsets(slot, n_bands * n_rows),
        n_rows=n_rows,
    )


def _prefix_errors(
    sae: SparseAutoencoder, target: Tensor, entries: _Banded, n_levels: int, products: Products
) -> Float[Tensor, "level b d_in"]:
    """x̂_g − target for every prefix: bands decoded once, then summed up in place."""
    errors = products.gathered(sae.W_dec, entries.latent, entries.value, entries.starts).view(n_levels, *target.shape)
    errors[0] += sae.b_dec - target
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
    found = FoundCodes(entries.latent, entries.pre, entries.value, entries.fires, upstream, entries.n_rows)
    own = sae.activation_fn.own_gradients(found, sae.W_dec, sae.threshold)
    code_gradient = torch.where(entries.fires, upstream, 0.0)
    if own.codes is not None:
        code_gradient += own.codes

    by_latent, ends = products.order(entries.latent_key, sae.d_sae)
    offsets = torch.cat([ends.new_zeros(1), ends[: sae.d_sae]])
    slot = entries.slot[by_latent]
    sae.W_dec.grad = products.gathered(pull.view(-1, sae.d_in), slot, entries.value[by_latent], offsets)
    sae.W_enc.grad = products.gathered(centred, slot % entries.n_rows, code_gradient[by_latent], offsets).T
    sae.b_enc.grad = torch.zeros_like(sae.b_enc).index_add_(0, entries.latent, code_gradient)
    sae.b_dec.grad = pull[0].sum(0) - sae.W_enc @ sae.b_enc.grad
    if own.W_dec is not None:
        sae.W_dec.grad += own.W_dec
    if sae.threshold.requires_grad:
        sae.threshold.grad = own.threshold
    return own.penalty
