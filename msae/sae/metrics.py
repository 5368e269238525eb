"""The figures of a reconstruction, each with one home and one formula. Sums are float64.

FVU = Σ‖x − x̂‖² / Σ‖x − x̄‖²    x̄: the mean over the whole sample        EV = 1 − FVU
L0  = mean number of latents that fire on a row
density of a latent = fraction of rows on which it fires; dead: 0; dense: above 10%

Ordinary rows are those without sinks (`msae.core.sinks`): a few rows of 100 times the usual norm hold nearly all of
Σ‖x − x̄‖², and an FVU over all rows then says how well these are reconstructed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.core.errors import EvaluationError
from msae.core.numerics import float64
from msae.core.sinks import norms_of, sink_norm_of
from msae.sae.autoencoder import LevelRecord, SparseAutoencoder
from msae.sae.codes import SparseCodes

DENSE_ABOVE = 0.1

EachRow = Callable[[str, int, Tensor], None]


def squared_error(x: Float[Tensor, "rows d_in"], x_hat: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*rows"]:
    """‖x − x̂‖² of every row (float64); several reconstructions come before the rows."""
    return (float64(x) - float64(x_hat)).square().sum(-1)


def deviation(x: Float[Tensor, "rows d_in"]) -> Float[Tensor, " rows"]:
    """‖x − x̄‖² of every row, x̄ the mean of these rows (float64)."""
    return squared_error(x, float64(x).mean(0).expand(x.shape))


def unexplained(error: float, spread: float) -> float:
    """Σ‖x − x̂‖² / Σ‖x − x̄‖² from the two sums; NaN where the rows do not vary."""
    return error / spread if spread > 0 else math.nan


def fvu(x: Float[Tensor, "rows d_in"], x_hat: Float[Tensor, "rows d_in"]) -> float:
    """Σ‖x − x̂‖² / Σ‖x − x̄‖²: the fraction of variance unexplained."""
    return unexplained(squared_error(x, x_hat).sum().item(), deviation(x).sum().item())


def ev_legacy(x: Float[Tensor, "rows d_in"], x_hat: Float[Tensor, "rows d_in"]) -> float:
    """1 − mean_rows ‖x − x̂‖² / ‖x − x̄‖², x̄ the mean of these rows only: the explained variance SAEBench published."""
    return (1 - squared_error(x, x_hat) / deviation(x)).mean().item()


def cosine(x: Float[Tensor, "rows d_in"], x_hat: Float[Tensor, "rows d_in"]) -> float:
    """Mean over rows of cos(x, x̂)."""
    return torch.nn.functional.cosine_similarity(float64(x), float64(x_hat), dim=1).mean().item()


def firing_counts(codes: SparseCodes) -> Int[Tensor, " d_sae"]:
    """On how many rows each latent fires."""
    return torch.bincount(codes.latent, minlength=codes.d_sae)


class Spread:
    """Σ‖x − x̄‖² of rows that come in batches, x̄ the mean over all of them (float64)."""

    def __init__(self, d_in: int) -> None:
        self.n_rows = 0
        self._sum = torch.zeros(d_in, dtype=torch.float64)
        self._square = 0.0

    def update(self, x: Float[Tensor, "rows d_in"]) -> None:
        """Take one batch in."""
        self.n_rows += x.shape[0]
        self._sum += float64(x).sum(0).cpu()
        self._square += float64(x).square().sum().item()

    def mean(self) -> Float[Tensor, " d_in"]:
        """x̄; `EvaluationError` when no row was given."""
        return self._sum / self.require_rows()

    def total(self) -> float:
        """Σ‖x − x̄‖²; `EvaluationError` when no row was given or they do not vary."""
        n = self.require_rows()
        spread = self._square - self._sum.square().sum().item() / n
        if spread <= 0:
            raise EvaluationError(f"the {n} rows are all the same: FVU is not defined; give more varied rows")
        return spread

    def without(self, some: Spread) -> float:
        """Σ‖x − x̄‖² of the rows that are not among `some`, x̄ their own mean; 0 when there is none."""
        n = self.n_rows - some.n_rows
        return self._square - some._square - (self._sum - some._sum).square().sum().item() / n if n else 0.0

    def require_rows(self) -> int:
        """How many rows were given; `EvaluationError` for none."""
        if self.n_rows == 0:
            raise EvaluationError("no rows were given: there is nothing to measure")
        return self.n_rows


@dataclass(frozen=True, kw_only=True)
class LevelFigures:
    """What one level is worth on a sample. `fvu` … `l0` read the prefix; `band_width` … `dense` the band it adds.

    `fvu_ordinary`, `l0_ordinary`: on ordinary rows alone, with their own mean; NaN where these do not vary.
    """

    level: int
    width: int
    fvu: float
    ev: float
    ev_legacy: float
    cosine: float
    l0: float
    fvu_ordinary: float
    l0_ordinary: float
    band_width: int
    dead: int
    dense: int


class LevelAccumulator:
    """Streams batches through an SAE and adds up every level's figures; memory does not grow with the sample.

    `sink_norm`: the norm above which a row is a sink; None takes 10 × the median norm of the first batch.
    """

    def __init__(self, sae: SparseAutoencoder, sink_norm: float | None = None) -> None:
        self.sae = sae
        self.sink_norm = sink_norm
        self._spread, self._sinks = Spread(sae.d_in), Spread(sae.d_in)
        self._error, self._sink_error, self._sink_codes = torch.zeros(3, sae.n_levels, dtype=torch.float64)
        self._cosine = torch.zeros(sae.n_levels, dtype=torch.float64)
        self._legacy = torch.zeros(sae.n_levels, dtype=torch.float64)
        self.counts = torch.zeros(sae.d_sae, dtype=torch.int64)

    @torch.no_grad()
    def update(self, x: Float[Tensor, "batch d_in"], each: EachRow | None = None) -> SparseCodes:
        """Take one batch in; returns its codes for whoever else wants them.

        `each` is given every row's share of what is added up: ``error`` (squared), ``ev_legacy`` and ``cosine``, with
        the level.
        """
        x = x.to(self.sae.device, self.sae.dtype)
        codes = self.sae.encode(x)
        reconstructions = self.sae.decode_levels(codes)
        self._spread.update(x)
        spread, sink = deviation(x), self._sink_rows(x)
        self._sinks.update(x[sink])
        for level, x_hat in enumerate(reconstructions):
            error = squared_error(x, x_hat)
            legacy = 1 - error / spread
            alike = float64(torch.nn.functional.cosine_similarity(x, x_hat, dim=1))
            self._error[level] += error.sum().cpu()
            self._sink_error[level] += error[sink].sum().cpu()
            self._legacy[level] += legacy.sum().cpu()
            self._cosine[level] += alike.sum().cpu()
            for name, values in (("error", error), ("ev_legacy", legacy), ("cosine", alike)):
                if each is not None:
                    each(name, level, values)
        self.counts += firing_counts(codes).cpu()
        if sink.any():
            latents = codes.latent[sink[codes.row]].cpu()
            self._sink_codes += torch.tensor([int((latents < width).sum()) for width in self.sae.prefix_widths])
        return codes

    def _sink_rows(self, x: Float[Tensor, "batch d_in"]) -> Bool[Tensor, " batch"]:
        norms = norms_of(x)
        if self.sink_norm is None:
            self.sink_norm = sink_norm_of(norms)
        return (norms > self.sink_norm).to(x.device)

    @property
    def n_sinks(self) -> int:
        """Rows seen that are sinks."""
        return self._sinks.n_rows

    @property
    def n_rows(self) -> int:
        """Rows seen."""
        return self._spread.n_rows

    def mean(self) -> Float[Tensor, " d_in"]:
        """x̄, the mean of every row seen (float64)."""
        return self._spread.mean()

    def spread(self) -> float:
        """Σ‖x − x̄‖² over every row seen; `EvaluationError` when they do not vary."""
        return self._spread.total()

    def density(self) -> Float[Tensor, " d_sae"]:
        """The fraction of rows each latent fired on (float64)."""
        return self.counts.double() / self._spread.require_rows()

    def figures(self) -> tuple[LevelFigures, ...]:
        """Every level's figures; `EvaluationError` when no row was seen or the rows do not vary."""
        n, spread, density = self._spread.require_rows(), self.spread(), self.density()
        ordinary_spread, n_ordinary = self._spread.without(self._sinks), n - self.n_sinks
        out = []
        for level, width in enumerate(self.sae.prefix_widths):
            band = density[self.sae.band(level)]
            missed = unexplained(self._error[level].item(), spread)
            out.append(
                LevelFigures(
                    level=level,
                    width=width,
                    fvu=missed,
                    ev=1 - missed,
                    ev_legacy=self._legacy[level].item() / n,
                    cosine=self._cosine[level].item() / n,
                    l0=(firings := self.counts[:width].sum().item()) / n,
                    fvu_ordinary=unexplained((self._error - self._sink_error)[level].item(), ordinary_spread),
                    l0_ordinary=(firings - self._sink_codes[level].item()) / n_ordinary if n_ordinary else math.nan,
                    band_width=band.numel(),
                    dead=int((band == 0).sum()),
                    dense=int((band > DENSE_ABOVE).sum()),
                )
            )
        return tuple(out)

    def records(self) -> tuple[LevelRecord, ...]:
        """Of every level's figures those that an SAE keeps of itself; what `figures` raises."""
        return tuple(
            LevelRecord(
                width=level.width,
                l0=level.l0,
                fvu=level.fvu,
                fvu_ordinary=level.fvu_ordinary if self.n_sinks and math.isfinite(level.fvu_ordinary) else None,
            )
            for level in self.figures()
        )
