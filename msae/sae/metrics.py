"""The figures of a reconstruction, each with one home and one formula. Sums are float64.

FVU = Σ‖x − x̂‖² / Σ‖x − x̄‖²    x̄: the mean over the whole sample        EV = 1 − FVU
L0  = mean number of latents that fire on a row
density of a latent = fraction of rows on which it fires; dead: 0; dense: above 10%
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.core.errors import EvaluationError
from msae.core.numerics import float64
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.codes import SparseCodes

DENSE_ABOVE = 0.1


def fvu(x: Float[Tensor, "rows d_in"], x_hat: Float[Tensor, "rows d_in"]) -> float:
    """Σ‖x − x̂‖² / Σ‖x − x̄‖²: the fraction of variance unexplained."""
    error = (float64(x) - float64(x_hat)).square().sum()
    spread = (float64(x) - float64(x).mean(0)).square().sum()
    return (error / spread).item()


def ev_legacy(x: Float[Tensor, "rows d_in"], x_hat: Float[Tensor, "rows d_in"]) -> float:
    """1 − mean_rows ‖x − x̂‖² / ‖x − x̄‖², x̄ the mean of these rows only: the explained variance SAEBench published."""
    error = (float64(x) - float64(x_hat)).square().sum(1)
    spread = (float64(x) - float64(x).mean(0)).square().sum(1)
    return (1 - error / spread).mean().item()


def cosine(x: Float[Tensor, "rows d_in"], x_hat: Float[Tensor, "rows d_in"]) -> float:
    """Mean over rows of cos(x, x̂)."""
    return torch.nn.functional.cosine_similarity(float64(x), float64(x_hat), dim=1).mean().item()


def firing_counts(codes: SparseCodes) -> Int[Tensor, " d_sae"]:
    """On how many rows each latent fires."""
    return torch.bincount(codes.latent, minlength=codes.d_sae)


@dataclass(frozen=True, kw_only=True)
class LevelFigures:
    """What one level is worth on a sample. `fvu` … `l0` read the prefix; `band_width` … `dense` the band it adds."""

    level: int
    width: int
    fvu: float
    ev: float
    ev_legacy: float
    cosine: float
    l0: float
    band_width: int
    dead: int
    dense: int


class LevelAccumulator:
    """Streams batches through an SAE and adds up every level's figures; memory does not grow with the sample."""

    def __init__(self, sae: SparseAutoencoder) -> None:
        self.sae = sae
        self.n_rows = 0
        self._sum = torch.zeros(sae.d_in, dtype=torch.float64)
        self._square = 0.0
        self._error = torch.zeros(sae.n_levels, dtype=torch.float64)
        self._cosine = torch.zeros(sae.n_levels, dtype=torch.float64)
        self._legacy = torch.zeros(sae.n_levels, dtype=torch.float64)
        self.counts = torch.zeros(sae.d_sae, dtype=torch.int64)

    @torch.no_grad()
    def update(self, x: Float[Tensor, "batch d_in"]) -> SparseCodes:
        """Take one batch in; returns its codes for whoever else wants them."""
        x = x.to(self.sae.device, self.sae.dtype)
        codes = self.sae.encode(x)
        reconstructions = self.sae.decode_levels(codes)
        self.n_rows += x.shape[0]
        self._sum += float64(x).sum(0).cpu()
        self._square += float64(x).square().sum().item()
        spread = (float64(x) - float64(x).mean(0)).square().sum(1)
        for level, x_hat in enumerate(reconstructions):
            error = (float64(x) - float64(x_hat)).square().sum(1)
            self._error[level] += error.sum().cpu()
            self._legacy[level] += (1 - error / spread).sum().cpu()
            self._cosine[level] += float64(torch.nn.functional.cosine_similarity(x, x_hat, dim=1)).sum().cpu()
        self.counts += firing_counts(codes).cpu()
        return codes

    def mean(self) -> Float[Tensor, " d_in"]:
        """x̄, the mean of every row seen (float64)."""
        return self._sum / self._require_rows()

    def spread(self) -> float:
        """Σ‖x − x̄‖² over every row seen; `EvaluationError` when they do not vary."""
        n = self._require_rows()
        spread = self._square - self._sum.square().sum().item() / n
        if spread <= 0:
            raise EvaluationError(f"the {n} rows are all the same: FVU is not defined; give more varied rows")
        return spread

    def density(self) -> Float[Tensor, " d_sae"]:
        """The fraction of rows each latent fired on (float64)."""
        return self.counts.double() / self._require_rows()

    def figures(self) -> tuple[LevelFigures, ...]:
        """Every level's figures; `EvaluationError` when no row was seen or the rows do not vary."""
        n, spread, density = self._require_rows(), self.spread(), self.density()
        out = []
        for level, width in enumerate(self.sae.prefix_widths):
            band = density[self.sae.band(level)]
            unexplained = self._error[level].item() / spread
            out.append(
                LevelFigures(
                    level=level,
                    width=width,
                    fvu=unexplained,
                    ev=1 - unexplained,
                    ev_legacy=self._legacy[level].item() / n,
                    cosine=self._cosine[level].item() / n,
                    l0=self.counts[:width].sum().item() / n,
                    band_width=band.numel(),
                    dead=int((band == 0).sum()),
                    dense=int((band > DENSE_ABOVE).sum()),
                )
            )
        return tuple(out)

    def _require_rows(self) -> int:
        if self.n_rows == 0:
            raise EvaluationError("no rows were given: there is nothing to measure")
        return self.n_rows
