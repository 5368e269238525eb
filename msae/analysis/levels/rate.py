"""Bits per token: what it costs to write a prefix's codes down, so that levels can be compared at equal cost.

    bits_g = Σ_{j < m_g} h(p_j)  +  Σ_{bands up to g} (codes a token in the band) · H(rounded values in the band)

h is the binary entropy and p_j the density of latent j: an upper bound, since latents are coded one by one. Values are
rounded to whole multiples of a stated step, of which a code keeps at least one, and every band has one table for its
entropy code: also an upper bound, and one that a finite sample does not understate for lack of counts per latent.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.core.config import require
from msae.core.errors import EvaluationError
from msae.sae.codes import SparseCodes

STEPS_PER_RMS = 8


def binary_entropy(p: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """−p log₂ p − (1 − p) log₂(1 − p), in bits; 0 at 0 and 1."""
    return -(torch.special.xlogy(p, p) + torch.special.xlogy(1 - p, 1 - p)) / math.log(2)


def entropy_of_counts(counts: Int[Tensor, " symbols"]) -> float:
    """The entropy, in bits, of the distribution with these counts; 0 when there are none."""
    total = counts.sum().item()
    if total == 0:
        return 0.0
    p = counts.double() / total
    return -(torch.special.xlogy(p, p).sum().item()) / math.log(2)


def default_step(codes: SparseCodes) -> float:
    """The power of two nearest to an eighth of the root mean square of the codes."""
    if len(codes) == 0:
        raise EvaluationError("no latent fires, so there is no value to choose a quantiser step from")
    rms = codes.value.double().square().mean().sqrt().item()
    return 2.0 ** round(math.log2(rms / STEPS_PER_RMS))


def steps(codes: SparseCodes, step: float) -> Int[Tensor, " nonzero"]:
    """Each code as a whole number of steps, at least one."""
    return (codes.value.double() / step).round().long().clamp_min(1)


def quantise(codes: SparseCodes, step: float) -> SparseCodes:
    """The codes rounded to whole steps. What fires still fires: no code becomes zero."""
    rounded = (steps(codes, step).double() * step).to(codes.value.dtype)
    return SparseCodes(codes.row, codes.latent, rounded, codes.n_rows, codes.d_sae)


class RateAccumulator:
    """Counts, batch by batch, how often each latent fires and each rounded value occurs in each band.

    `step`: the quantiser's, in the units of the codes; None takes `default_step` of the first batch with any code.
    """

    def __init__(self, prefix_widths: tuple[int, ...], step: float | None = None) -> None:
        require(step is None or step > 0, "quantiser_step", step, "a positive step, or None for the default")
        self.step = step
        self.n_rows = 0
        self._widths = prefix_widths
        self._fired = torch.zeros(prefix_widths[-1], dtype=torch.int64)
        self._values = [torch.zeros(0, dtype=torch.int64) for _ in prefix_widths]

    def update(self, codes: SparseCodes) -> SparseCodes:
        """Take the codes of one batch in; returns them rounded."""
        self.n_rows += codes.n_rows
        if len(codes) == 0:
            return codes
        if self.step is None:
            self.step = default_step(codes)
        self._fired += torch.bincount(codes.latent, minlength=self._widths[-1]).cpu()
        rounded = steps(codes, self.step)
        bounds = torch.tensor(self._widths, device=codes.latent.device)
        band = torch.bucketize(codes.latent, bounds, right=True)
        for level in range(len(self._widths)):
            self._values[level] = _added(self._values[level], torch.bincount(rounded[band == level]).cpu())
        return quantise(codes, self.step)

    def firing_bits(self) -> list[float]:
        """For every level, the bits a token that say which latents of its prefix fire."""
        bits = binary_entropy(self._fired.double() / self._require_rows()).cumsum(0)
        return [bits[width - 1].item() for width in self._widths]

    def value_bits(self) -> list[float]:
        """For every level, the bits a token that say with which value."""
        n = self._require_rows()
        bands = [counts.sum().item() / n * entropy_of_counts(counts) for counts in self._values]
        return torch.tensor(bands, dtype=torch.float64).cumsum(0).tolist()

    def _require_rows(self) -> int:
        if self.n_rows == 0:
            raise EvaluationError("no rows were given: there is no rate to measure")
        return self.n_rows


def _added(mine: Int[Tensor, " m"], more: Int[Tensor, " n"]) -> Int[Tensor, " longer"]:
    longer, shorter = (mine, more) if mine.numel() >= more.numel() else (more, mine)
    longer = longer.clone()
    longer[: shorter.numel()] += shorter
    return longer
