"""Is Triton right on this card? The first step is made by torch too, and the two are compared.

Triton compiles for the card at hand, and most cards were never tried. A kernel that does not compile, or comes to other
numbers than torch, is replaced by torch's for the rest of the process, with a warning of one line to report.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator
from importlib.metadata import version

import torch
from jaxtyping import Float
from torch import Tensor

from msae.core.version import __version__
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.base import StepResult
from msae.sae.kernels.sparse import SparseKernel
from msae.sae.losses import Objective

# Sums are made in another order, and of two pre-activations that differ by as little the other may be kept.
TOLERANCE = 1e-3
Gradients = dict[str, Tensor]
_verdicts: dict[tuple[str, ...], bool] = {}


def verdict(sae: SparseAutoencoder) -> bool | None:
    """Whether Triton may be used for `sae` where it lies; None: not tried yet in this process."""
    return _verdicts.get(_key(sae))


@contextlib.contextmanager
def _full_precision() -> Iterator[None]:
    """Products in float32, also where TensorFloat-32 is chosen for those of torch."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@_full_precision()
def compared(
    triton: SparseKernel,
    sae: SparseAutoencoder,
    x: Float[Tensor, "batch d_in"],
    objective: Objective,
    target: Float[Tensor, "_ _"] | None,
) -> StepResult:
    """One step by both kernels; the gradients and the result are Triton's where it agrees with torch, else torch's.

    The verdict is kept for the process, but for a batch whose loss is not finite, which says nothing.
    """
    expected = SparseKernel().step(sae, x, objective, target)
    gradients = _gradients(sae)
    if not torch.isfinite(expected.losses.total):
        return expected
    try:
        # Twice, for the first selection of a kernel waits for the device, and those that follow go another way.
        for _ in range(2):
            result = SparseKernel.step(triton, sae, x, objective, target)
            wrong = _difference(result, _gradients(sae), expected, gradients)
            if wrong:
                break
        wrong = wrong or _wrong_update(sae)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a compiler or a driver raises
        wrong = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    _verdicts[_key(sae)] = not wrong
    if not wrong:
        return result
    for name, gradient in gradients.items():
        sae.get_parameter(name).grad = gradient
    warnings.warn(
        f"Triton's kernel is not right on {_card(sae)}: {wrong}. Training goes on with the kernel 'sparse', exact and "
        "slower; please report this line",
        stacklevel=5,
    )
    return expected


def _gradients(sae: SparseAutoencoder) -> Gradients:
    return {name: p.grad.clone() for name, p in sae.named_parameters() if p.grad is not None}


def _difference(result: StepResult, mine: Gradients, expected: StepResult, theirs: Gradients) -> str:
    """How far the step is from torch's, where that is too far; else nothing."""
    if not bool(result.complete):
        return "its first step was not complete"
    codes, others = result.codes, expected.codes
    keys, other_keys = codes.row * codes.d_sae + codes.latent, others.row * others.d_sae + others.latent
    unlike = int((~torch.isin(keys, other_keys)).sum() + (~torch.isin(other_keys, keys)).sum())
    if unlike > TOLERANCE * max(1, len(others)):
        return f"{unlike} of {len(others)} codes are others"
    pairs = {"loss": (result.losses.total, expected.losses.total)}
    pairs |= {f"gradient of {name}": (mine[name], gradient) for name, gradient in theirs.items()}
    for name, (got, wanted) in pairs.items():
        off = ((got - wanted).norm() / wanted.norm().clamp_min(1e-12)).item()
        if not off < TOLERANCE:
            return f"the {name} is off by {off:.2g}"
    return ""


def _wrong_update(sae: SparseAutoencoder) -> str:
    """The same for the loops of the update, tried on copies of the decoder and its gradient."""
    from msae.sae.kernels.triton_loops import adam_rows, row_moments

    value, gradient = sae.W_dec.detach().clone(), sae.W_dec.grad
    assert gradient is not None
    gradient = gradient.contiguous()
    along, square = row_moments(gradient, value)
    pairs = {"along": (along, (gradient * value).sum(1)), "square": (square, gradient.square().sum(1))}
    factor, step, rate1, rate2, epsilon = 0.5, 0.01, 0.1, 0.001, 1e-8
    g = (gradient - along[:, None] * value) * factor
    mean, squares = torch.full_like(value, 0.1), torch.full_like(value, 0.2)
    m, v = mean + rate1 * (g - mean), squares + rate2 * (g.square() - squares)
    moved = value - step * m / (v.sqrt() + epsilon)
    moved = moved / moved.norm(dim=1, keepdim=True)
    valid = torch.ones((), dtype=torch.bool, device=sae.device)
    numbers = (step, rate1, rate2, epsilon)
    adam_rows(value, gradient, mean, squares, along, value.new_tensor(factor), valid, numbers, unit_rows=True)
    pairs |= {"mean": (mean, m), "square mean": (squares, v), "row": (value, moved)}
    for name, (got, wanted) in pairs.items():
        off = ((got - wanted).norm() / wanted.norm().clamp_min(1e-12)).item()
        if not math.isfinite(off) or off > TOLERANCE:
            return f"the update's {name} is off by {off:.2g}"
    return ""


def _key(sae: SparseAutoencoder) -> tuple[str, ...]:
    """What another loop may be compiled for."""
    return str(sae.device), type(sae.activation_fn).__name__, str(sae.d_in), str(sae.d_sae)


def _card(sae: SparseAutoencoder) -> str:
    """The device and the versions, as a report needs them."""
    where = "a CPU, interpreted"
    if sae.device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(sae.device)
        where = f"{torch.cuda.get_device_name(sae.device)} (sm_{major}{minor})"
    return f"{where} with triton {version('triton')}, torch {torch.__version__}, msae {__version__}"
