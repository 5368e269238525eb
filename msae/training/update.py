"""Adam under the constraint that decoder rows have unit norm.

    project: each decoder row's gradient loses its part along the row        clip: the norm of the whole gradient
    step: Adam (Kingma & Ba 2014, arXiv:1412.6980)                           renormalise: decoder rows, after the step

Projecting first lets clipping see only what can move. On the CPU, in float32 and with numba, each matrix is read once
for the norms and once for all the rest, and so it is on a GPU with Triton, where the host does not wait:
whether the step is to be taken is decided on the device. Elsewhere torch does the same, operation by operation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.profiler import record_function

from msae.core.errors import TrainingError
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.scan import has_numba

EPSILON = 1e-8
VECTOR_ROW = 1024


@dataclass(frozen=True)
class _Slot:
    """A parameter as rows in memory, with its moments. W_enc is kept by columns, so its rows are the latents."""

    name: str
    value: Float[Tensor, "rows columns"]
    mean: Float[Tensor, "rows columns"]
    square: Float[Tensor, "rows columns"]


@dataclass(frozen=True)
class RowMoments:
    """⟨gradient, row⟩ for the rows of each parameter (zero but for decoder rows), and the projected gradient's norm."""

    alongs: list[Float[Tensor, " rows"]]
    norm: Float[Tensor, ""]


class ConstrainedAdam:
    """The optimiser of an SAE's parameters. It reads and overwrites their `.grad`."""

    def __init__(self, sae: SparseAutoencoder, beta1: float, beta2: float) -> None:
        self.sae, self.beta1, self.beta2 = sae, beta1, beta2
        self.n_steps = 0
        self._slots = [
            _Slot(name, rows, torch.zeros_like(rows), torch.zeros_like(rows))
            for name, parameter in sae.named_parameters()
            if parameter.requires_grad
            for rows in [_as_rows(name, parameter.data)]
        ]
        self._compiled = sae.device.type == "cpu" and sae.dtype == torch.float32 and has_numba()

    @torch.no_grad()
    def step(self, lr: float, grad_clip: float) -> Float[Tensor, ""]:
        """One step; returns the norm of the projected gradient before clipping (0-d).

        Raises `TrainingError`, and changes nothing, when that norm is not finite.
        """
        self.n_steps += 1
        with record_function("msae::update"):
            norm = self._compiled_step(lr, grad_clip) if self._compiled else self._torch_step(lr, grad_clip)
        if self.sae.threshold.requires_grad:
            self.sae.threshold.clamp_(min=0)
        return norm

    @torch.no_grad()
    def moments(self) -> RowMoments:
        """What `step_where` needs to know of the gradients: their norm, and what of it lies along decoder rows."""
        from msae.sae.kernels.triton_loops import row_moments

        alongs, total = [], torch.zeros((), dtype=torch.float64, device=self.sae.device)
        for slot in self._slots:
            along, square = row_moments(self._gradient(slot).contiguous(), slot.value)
            along = along if slot.name == "W_dec" else torch.zeros_like(along)
            alongs.append(along)
            total += (square.double() - along.double().square()).sum()
        return RowMoments(alongs=alongs, norm=total.clamp_min(0).sqrt().float())

    @torch.no_grad()
    def step_where(self, valid: Bool[Tensor, ""], moments: RowMoments, lr: float, grad_clip: float) -> None:
        """`step` where `valid`; elsewhere no parameter and no moment changes, and `undo` must follow."""
        from msae.sae.kernels.triton_loops import adam_rows

        self.n_steps += 1
        factor = torch.clamp(grad_clip / (moments.norm + 1e-6), max=1.0)
        scale1, scale2 = self._bias_corrections()
        numbers = (lr * scale2 / scale1, 1 - self.beta1, 1 - self.beta2, EPSILON * scale2)
        for slot, along in zip(self._slots, moments.alongs, strict=True):
            arrays = [slot.value, self._gradient(slot).contiguous(), slot.mean, slot.square]
            if self.sae.get_parameter(slot.name).ndim == 1:  # a row has to fit into one program, a vector need not
                width = math.gcd(slot.value.numel(), VECTOR_ROW)
                arrays = [array.reshape(-1, width) for array in arrays]
                along = along.new_zeros(len(arrays[0]))
            value, gradient, mean, square = arrays
            unit_rows = slot.name == "W_dec"
            adam_rows(value, gradient, mean, square, along, factor, valid, numbers, unit_rows=unit_rows)
        if self.sae.threshold.requires_grad:
            self.sae.threshold.clamp_(min=0)

    def undo(self) -> None:
        """Count the last `step_where` as not taken."""
        self.n_steps -= 1

    def state(self) -> dict[str, Tensor]:
        """The moments, by the names of their parameters, for `load_state`."""
        return {f"{slot.name}.{part}": getattr(slot, part) for slot in self._slots for part in ("mean", "square")}

    def load_state(self, tensors: dict[str, Tensor], n_steps: int) -> None:
        """Go back to a saved `state`."""
        self.n_steps = n_steps
        for name, moment in self.state().items():
            moment.copy_(tensors[name])

    def _gradient(self, slot: _Slot) -> Float[Tensor, "rows columns"]:
        gradient = self.sae.get_parameter(slot.name).grad
        assert gradient is not None
        return _as_rows(slot.name, gradient)

    def _compiled_step(self, lr: float, grad_clip: float) -> Float[Tensor, ""]:
        from msae.sae.kernels.compiled import adam_rows, row_moments

        gradients = [self._gradient(slot).contiguous() for slot in self._slots]
        alongs = []
        total = 0.0
        for slot, gradient in zip(self._slots, gradients, strict=True):
            along, square = torch.zeros(2, len(slot.value)).unbind()
            row_moments(gradient.numpy(), slot.value.numpy(), along.numpy(), square.numpy())
            if slot.name != "W_dec":
                along.zero_()
            alongs.append(along)
            total += float((square.double() - along.double().square()).sum())
        norm = math.sqrt(max(total, 0.0))
        require_finite_norm(norm)
        factor = min(1.0, grad_clip / (norm + 1e-6))
        scale1, scale2 = self._bias_corrections()
        step, epsilon = lr * scale2 / scale1, EPSILON * scale2
        numbers = torch.tensor([factor, step, 1 - self.beta1, 1 - self.beta2, epsilon], dtype=torch.float32)
        for slot, gradient, along in zip(self._slots, gradients, alongs, strict=True):
            arrays = (slot.value, gradient, slot.mean, slot.square, along)
            adam_rows(*(array.numpy() for array in arrays), slot.name == "W_dec", *numbers.numpy())
        return torch.tensor(norm)

    def _torch_step(self, lr: float, grad_clip: float) -> Float[Tensor, ""]:
        W = self.sae.W_dec
        assert W.grad is not None
        W.grad -= (W.grad * W).sum(1, keepdim=True) * W
        gradients = [self._gradient(slot) for slot in self._slots]
        norm = torch.nn.utils.get_total_norm(gradients)
        require_finite_norm(norm.item())
        torch._foreach_mul_(gradients, torch.clamp(grad_clip / (norm + 1e-6), max=1.0))
        scale1, scale2 = self._bias_corrections()
        for slot, gradient in zip(self._slots, gradients, strict=True):
            slot.mean.lerp_(gradient, 1 - self.beta1)
            slot.square.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
            slot.value.addcdiv_(slot.mean, slot.square.sqrt().div_(scale2).add_(EPSILON), value=-lr / scale1)
        W.div_(W.norm(dim=1, keepdim=True).clamp_min(1e-12))
        return norm

    def _bias_corrections(self) -> tuple[float, float]:
        return 1 - self.beta1**self.n_steps, math.sqrt(1 - self.beta2**self.n_steps)


def _as_rows(name: str, tensor: Tensor) -> Float[Tensor, "rows columns"]:
    """A view of a parameter or its gradient: a vector as one row, W_enc (kept by columns) as its transpose."""
    if tensor.ndim == 1:
        return tensor[None]
    return tensor.T if name == "W_enc" else tensor


def require_finite_norm(norm: float) -> None:
    """Called before anything is changed, so that weights that were finite stay so."""
    if not math.isfinite(norm):
        raise TrainingError(
            f"the gradient has norm {norm} although the loss is finite: nothing was updated; "
            "continue from the last checkpoint with a smaller lr"
        )
