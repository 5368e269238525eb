"""Bits per token: what it costs to write a prefix's codes down, so that levels can be compared at equal cost.

    bits_g = Σ_{j < m_g} h(p_j)  +  Σ_{bands up to g} (codes a token in the band) · H(rounded values in the band)

h is the binary entropy and p_j the density of latent j: an upper bound, since latents are coded one by one. Values are
rounded to whole multiples of a stated step, of which a code keeps at least one, and every band has one table for its
entropy code: also an upper bound, and one that a finite sample does not understate for lack of counts per latent.

The step is by default an eighth of the root mean square of the sample's values: activations a thousand times as large
cost the same bits. A value is what a code adds to the reconstruction, f_j ‖W_dec_j‖, so that SAEs whose decoder rows
are of other lengths can be compared.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.core.config import require
from msae.core.errors import EvaluationError
from msae.core.numerics import float64
from msae.sae.autoencoder import SparseAutoencoder
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


def decoder_norms(sae: SparseAutoencoder) -> Float[Tensor, " d_sae"]:
    """‖W_dec_j‖, exactly 1 for rows that are unit but for rounding (and for those that add nothing)."""
    norms = float64(sae.W_dec.detach()).norm(dim=1)
    return torch.where(((norms - 1).abs() < 1e-4) | (norms == 0), 1.0, norms)


class ValueSize:
    """The root mean square of a sample's values, code batch by code batch. `norms`: of the decoder rows."""

    def __init__(self, norms: Float[Tensor, " d_sae"] | None = None) -> None:
        self._norms = norms
        self._square, self._n = 0.0, 0

    def update(self, codes: SparseCodes) -> None:
        """Take the codes of one batch in."""
        self._square += _values(codes, self._norms).square().sum().item()
        self._n += len(codes)

    def rms(self) -> float | None:
        """None as long as no latent has fired."""
        return math.sqrt(self._square / self._n) if self._n else None


def default_step(rms: float) -> float:
    """An eighth of the root mean square of a sample's values."""
    return rms / STEPS_PER_RMS


def steps(codes: SparseCodes, step: float, norms: Float[Tensor, " d_sae"] | None = None) -> Int[Tensor, " nonzero"]:
    """Each value as a whole number of steps, at least one."""
    return (_values(codes, norms) / step).round().long().clamp_min(1)


def quantise(codes: SparseCodes, step: float, norms: Float[Tensor, " d_sae"] | None = None) -> SparseCodes:
    """The codes whose values are whole steps. What fires still fires: no code becomes zero."""
    values = steps(codes, step, norms).double() * step
    rounded = (values if norms is None else values / norms[codes.latent]).to(codes.value.dtype)
    return SparseCodes(codes.row, codes.latent, rounded, codes.n_rows, codes.d_sae)


class RateAccumulator:
    """Counts, batch by batch, how often each latent fires and each rounded value occurs in each band.

    `step`: the quantiser's, in the units of the values; None for codes of which none fires. `norms`: of the decoder
    rows; None takes them for unit.
    """

    def __init__(
        self, prefix_widths: tuple[int, ...], step: float | None, norms: Float[Tensor, " d_sae"] | None = None
    ) -> None:
        require(step is None or step > 0, "quantiser_step", step, "a positive step, or None for the default")
        self.step = step
        self.n_rows = 0
        self._widths, self._norms = prefix_widths, norms
        self._fired = torch.zeros(prefix_widths[-1], dtype=torch.int64)
        self._values = [torch.zeros(0, dtype=torch.int64) for _ in prefix_widths]

    def update(self, codes: SparseCodes) -> SparseCodes:
        """Take the codes of one batch in; returns them rounded."""
        self.n_rows += codes.n_rows
        if len(codes) == 0:
            return codes
        if self.step is None:
            raise EvaluationError("latents fire, so a quantiser step is needed: give one, or their root mean square")
        self._fired += torch.bincount(codes.latent, minlength=self._widths[-1]).cpu()
        rounded = steps(codes, self.step, self._norms)
        band = self.band_of(codes)
        for level in range(len(self._widths)):
            self._values[level] = _added(self._values[level], torch.bincount(rounded[band == level]).cpu())
        return quantise(codes, self.step, self._norms)

    def band_of(self, codes: SparseCodes) -> Int[Tensor, " nonzero"]:
        """The band that each code's latent lies in."""
        return torch.bucketize(codes.latent, torch.tensor(self._widths, device=codes.latent.device), right=True)

    def firing_cost(self) -> tuple[Float[Tensor, " d_sae"], Float[Tensor, " d_sae"]]:
        """The bits that saying "fires" and "is silent" cost of each latent, by a code made for its density here."""
        p = self._fired.double() / self._require_rows()
        return -torch.log2(p.clamp_min(1e-300)), -torch.log2((1 - p).clamp_min(1e-300))

    def value_cost(self) -> list[Float[Tensor, " symbols"]]:
        """The bits that each rounded value costs in each band, by a code made for how often it occurs here."""
        return [-torch.log2((own.double() / own.sum().clamp_min(1)).clamp_min(1e-300)) for own in self._values]

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


def _values(codes: SparseCodes, norms: Float[Tensor, " d_sae"] | None) -> Float[Tensor, " nonzero"]:
    """What each code adds to the reconstruction: its length."""
    return codes.value.double() if norms is None else codes.value.double() * norms[codes.latent]


def _added(mine: Int[Tensor, " m"], more: Int[Tensor, " n"]) -> Int[Tensor, " longer"]:
    longer, shorter = (mine, more) if mine.numel() >= more.numel() else (more, mine)
    longer = longer.clone()
    longer[: shorter.numel()] += shorter
    return longer
