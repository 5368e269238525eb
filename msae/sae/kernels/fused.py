"""The sparse step on a CPU, as two compiled loops: one over rows (decode, errors, ∂L/∂f), one over latents (gradients).

The mathematics is that of `sparse`; what differs is that no entry is ever reordered by level, so that nesting costs
only the writing of one error a level.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.profiler import record_function

from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.auxk import add_auxk_gradients
from msae.sae.kernels.base import Kernel, StepResult, target_or_input
from msae.sae.kernels.candidates import CandidateFinder
from msae.sae.kernels.products import on_compiled_path, row_offsets, stable_order
from msae.sae.losses import Losses, Objective, step_factors, step_widths


class FusedKernel(Kernel):
    """Activation functions with no penalty and no learned θ, in float32 on a CPU with numba. `block`: as `sparse`."""

    name = "fused"

    def __init__(self, block: int = 1 << 21) -> None:
        self._finder = CandidateFinder(block)

    @property
    def guess(self) -> float | None:
        """See `Kernel.guess`."""
        return self._finder.guess

    @guess.setter
    def guess(self, value: float | None) -> None:
        self._finder.guess = value

    @classmethod
    def make(cls, block: int | None) -> FusedKernel:
        """See `Kernel.make`."""
        return cls() if block is None else cls(block)

    @classmethod
    def needs(cls, sae: SparseAutoencoder) -> str | None:
        """float32 on a CPU with numba; the loops know the gradients of the reconstruction losses alone."""
        fn = sae.activation_fn
        plain = sae.encoder.one_product and not (fn.has_penalty or fn.learns_threshold)
        if on_compiled_path(sae.W_dec) and plain:
            return None
        return "float32 on a CPU with numba, and an activation function without a penalty, such as BatchTopK or TopK"

    @torch.no_grad()
    def step(
        self,
        sae: SparseAutoencoder,
        x: Float[Tensor, "batch d_in"],
        objective: Objective,
        target: Float[Tensor, "_ _"] | None = None,
    ) -> StepResult:
        """Losses, codes and gradients; see `Kernel.step`."""
        from msae.sae.kernels.compiled import decode_levels, gather_gradients

        n_rows, target, x = len(x), target_or_input(x, target).contiguous(), x.contiguous()
        widths = step_widths(objective)
        with record_function("msae::select"):
            centred = x - sae.b_dec
            kept = self._finder.selected(sae, centred)
            kept = kept.where(sae.activation_fn.train_plan().fires(kept.pre, kept.latent, sae.threshold))
            starts = row_offsets(kept.row, n_rows)

        pull = x.new_empty(len(widths), n_rows, sae.d_in)
        residuals = torch.empty_like(pull) if objective.has_auxk else x.new_empty(0, n_rows, sae.d_in)
        squares, upstream = x.new_empty(n_rows, len(widths)), x.new_empty(len(kept.pre))
        factors = x.new_tensor(step_factors(objective, widths, n_rows))
        ends_of_levels = kept.row.new_tensor(widths)
        inputs = (starts, kept.latent, kept.pre, sae.W_dec.data, sae.b_dec.data, target, ends_of_levels, factors)
        with record_function("msae::decode"):
            decode_levels(*(tensor.numpy() for tensor in (*inputs, pull, upstream, squares, residuals)))

        with record_function("msae::gradients"):
            order, ends = stable_order(kept.latent, sae.d_sae)
            level = torch.bucketize(torch.arange(sae.d_sae), ends_of_levels, right=True)
            W_dec, W_enc, b_enc = (_gradient_of(parameter) for parameter in (sae.W_dec, sae.W_enc, sae.b_enc))
            inputs = (ends, order, kept.row, level, kept.pre, upstream, pull, centred)
            gather_gradients(*(tensor.numpy() for tensor in (*inputs, W_dec, W_enc.T, b_enc)))
            sae.b_dec.grad = pull[0].sum(0) - sae.W_enc @ b_enc

        trained = [widths.index(width) for width in objective.widths]
        levels = squares.sum(0)[trained] / (n_rows * objective.variance)
        auxk = penalty = x.new_zeros(())
        if objective.has_auxk:
            by_width = {width: residuals[widths.index(width)] for width in objective.auxk_widths}
            with record_function("msae::auxk"):
                auxk = add_auxk_gradients(sae, centred, by_width, objective)
        total = (levels * levels.new_tensor(objective.weights)).sum() + objective.auxk_alpha * auxk
        return StepResult(
            losses=Losses(levels=levels, auxk=auxk, penalty=penalty, total=total),
            row=kept.row,
            latent=kept.latent,
            value=kept.pre,
            n_rows=n_rows,
            d_sae=sae.d_sae,
            complete=torch.ones((), dtype=torch.bool),
        )


def _gradient_of(parameter: nn.Parameter) -> Tensor:
    """The parameter's `.grad`, to be overwritten: memory that is there already costs no page faults."""
    if parameter.grad is None or parameter.grad.stride() != parameter.stride():
        parameter.grad = torch.empty_like(parameter)
    return parameter.grad
