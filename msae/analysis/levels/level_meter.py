"""Every level's figures that need activations alone: reconstruction, sparsity, and the rate of the codes.

With the intervals that other documents would give: see `document_sums`. Of bits, the code for firing and values stays
the one made for the whole sample, and what is drawn is what each document costs in it.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.analysis.levels.document_sums import DocumentSums
from msae.analysis.levels.rate import RateAccumulator, ValueSize, decoder_norms, default_step, steps
from msae.core.errors import EvaluationError
from msae.core.numerics import float64
from msae.core.sinks import norms_of
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.codes import SparseCodes
from msae.sae.metrics import DENSE_ABOVE, LevelAccumulator, LevelFigures, squared_error, unexplained

PERHAPS_DENSE = DENSE_ABOVE / 5


class LevelMeter:
    """Streams rows through an SAE that is in `eval()` mode; memory does not grow with the sample.

    `quantiser_step`: None takes `default_step` of the rows that `size_up` was given, which are best all that are
    measured. `sink_norm`: see `LevelAccumulator`.
    Raises `EvaluationError` for an SAE whose weights are not finite.
    """

    def __init__(
        self, sae: SparseAutoencoder, quantiser_step: float | None = None, sink_norm: float | None = None
    ) -> None:
        self.sae = sae
        for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
            if not torch.isfinite(sae.get_parameter(name)).all():
                raise EvaluationError(f"{name} of the SAE is not finite: it has diverged; use an earlier checkpoint")
        self._levels = LevelAccumulator(sae, sink_norm)
        self._norms = decoder_norms(sae)
        self._size = ValueSize(self._norms)
        self._rate = RateAccumulator(sae.prefix_widths, quantiser_step, self._norms)
        self.documents = DocumentSums()
        self._quantised_error = torch.zeros(sae.n_levels, dtype=torch.float64)

    @property
    def n_rows(self) -> int:
        """Rows seen."""
        return self._levels.n_rows

    @property
    def n_sinks(self) -> int:
        """Rows seen whose norm is above `sink_norm`."""
        return self._levels.n_sinks

    @property
    def sink_norm(self) -> float | None:
        """The norm above which a row is a sink; None before the first row."""
        return self._levels.sink_norm

    @property
    def quantiser_step(self) -> float | None:
        """The step values were rounded to; None as long as no latent has fired."""
        return self._rate.step

    def mean(self) -> Float[Tensor, " d_in"]:
        """x̄ of every row seen."""
        return self._levels.mean()

    @torch.no_grad()
    def size_up(self, x: Float[Tensor, "rows d_in"]) -> None:
        """Take rows into account for the quantiser's step, before any is measured."""
        self._size.update(self.sae.encode(self._checked(x)))
        rms = self._size.rms()
        self._rate.step = None if rms is None else default_step(rms)

    @torch.no_grad()
    def update(
        self, x: Float[Tensor, "rows d_in"], document: Int[Tensor, " rows"] | None = None
    ) -> tuple[SparseCodes, SparseCodes]:
        """Take rows in; returns their codes, and the codes rounded. `EvaluationError` for rows that are not finite.

        `document`: that of each row; None takes each for one of its own.
        """
        x = self._checked(x)
        own = torch.arange(self.n_rows, self.n_rows + len(x)) if document is None else document
        group = self.documents.group(own)
        self.documents.add("n", group, torch.ones(len(x)))
        self.documents.add("x", group, x)
        self.documents.add("square", group, float64(x).square().sum(1))
        errors: list[Tensor] = []

        def each(name: str, level: int, values: Tensor) -> None:
            self.documents.add(f"{name}/{level}", group, values)
            if name == "error":
                errors.append(values)

        codes = self._levels.update(x, each)
        self._add_sinks(x, group, errors, codes)
        rounded = self._rate.update(codes)
        for level, x_hat in enumerate(self.sae.decode_levels(rounded)):
            error = squared_error(x, x_hat)
            self._quantised_error[level] += error.sum().cpu()
            self.documents.add(f"quantised/{level}", group, error)
        of_code = group[codes.row.cpu()]
        self.documents.count("fired", of_code, codes.latent)
        if self._rate.step is not None:
            whole, band = steps(codes, self._rate.step, self._norms).cpu(), self._rate.band_of(codes).cpu()
            for level in range(self.sae.n_levels):
                self.documents.count(f"value/{level}", of_code[band == level], whole[band == level])
        return codes, rounded

    def _add_sinks(self, x: Tensor, group: Tensor, errors: list[Tensor], codes: SparseCodes) -> None:
        """What ordinary rows are without."""
        assert self.sink_norm is not None
        sink = (norms_of(x) > self.sink_norm).float().to(x.device)
        fires = sink[codes.row]
        for name, values in (("n", torch.ones(len(x))), ("square", float64(x).square().sum(1).cpu())):
            self.documents.add(f"sink/{name}", group, values * sink.cpu())
        self.documents.add("sink/x", group, x * sink[:, None])
        for level, (width, error) in enumerate(zip(self.sae.prefix_widths, errors, strict=True)):
            self.documents.add(f"sink/error/{level}", group, error.cpu() * sink.cpu())
            inside = fires * (codes.latent < width)
            of_row = torch.zeros(len(x), device=x.device).index_add_(0, codes.row, inside.float())
            self.documents.add(f"sink/l0/{level}", group, of_row)

    def figures(self) -> tuple[LevelFigures, ...]:
        """Reconstruction and sparsity of every level."""
        return self._levels.figures()

    def rate(self) -> list[dict[str, float]]:
        """`bits_firing`, `bits_values`, `bits` and `fvu_quantised` of every level."""
        spread = self._levels.spread()
        figures = zip(self._rate.firing_bits(), self._rate.value_bits(), self._quantised_error.tolist(), strict=True)
        return [
            {
                "bits_firing": firing,
                "bits_values": values,
                "bits": firing + values,
                "fvu_quantised": unexplained(error, spread),
            }
            for firing, values, error in figures
        ]

    def resampled(self) -> list[dict[str, Float[np.ndarray, " resamples"]]]:
        """Every level's figures on other draws of the documents; not `dead`, which these can only raise."""
        documents, n = self.documents, self.documents.resampled("n")
        spread = documents.resampled("square") - np.square(documents.resampled("x")).sum(1) / n
        spread = np.where(spread > 0, spread, np.nan)
        n_ordinary = n - documents.resampled("sink/n")
        n_ordinary = np.where(n_ordinary > 0, n_ordinary, np.nan)
        of_sinks = {name: documents.resampled(f"sink/{name}") for name in ("x", "square")}
        ordinary = documents.resampled("square") - of_sinks["square"]
        ordinary = ordinary - np.square(documents.resampled("x") - of_sinks["x"]).sum(1) / n_ordinary
        ordinary = np.where(ordinary > 0, ordinary, np.nan)
        on, off = self._rate.firing_cost()
        rows, values = documents.cost_of_each("n"), np.zeros(documents.n_groups)
        latent, density = torch.arange(self.sae.d_sae, device=on.device), self._levels.density()
        out = []
        for level, (width, value_cost) in enumerate(zip(self.sae.prefix_widths, self._rate.value_cost(), strict=True)):
            inside = latent < width
            firing = documents.cost("fired", torch.where(inside, on - off, 0.0)) + rows * off[inside].sum().item()
            values = values + documents.cost(f"value/{level}", value_cost)
            band = self.sae.band(level)
            perhaps = np.arange(self.sae.d_sae)[band][(density[band] > PERHAPS_DENSE).numpy()]
            missed = documents.resampled(f"error/{level}") / spread
            bits_firing, bits_values = documents.weights @ firing / n, documents.weights @ values / n
            error = documents.resampled(f"error/{level}") - documents.resampled(f"sink/error/{level}")
            firings = documents.weights @ documents.cost("fired", inside.double())
            out.append(
                {
                    "l0": firings / n,
                    "l0_ordinary": (firings - documents.resampled(f"sink/l0/{level}")) / n_ordinary,
                    "fvu_ordinary": error / ordinary,
                    "fvu": missed,
                    "ev": 1 - missed,
                    "ev_legacy": documents.resampled(f"ev_legacy/{level}") / n,
                    "cosine": documents.resampled(f"cosine/{level}") / n,
                    "dense": (documents.resampled_counts("fired", perhaps) > DENSE_ABOVE * n[:, None]).sum(1) * 1.0,
                    "bits_firing": bits_firing,
                    "bits_values": bits_values,
                    "bits": bits_firing + bits_values,
                    "fvu_quantised": documents.resampled(f"quantised/{level}") / spread,
                }
            )
        return out

    def _checked(self, x: Float[Tensor, "rows d_in"]) -> Float[Tensor, "rows d_in"]:
        x = x.to(self.sae.device, self.sae.dtype)
        if not torch.isfinite(x).all():
            raise EvaluationError(
                f"there are NaN or infinite activations after row {self.n_rows}: the model overflows in its dtype "
                "(open it in float32 or bfloat16), or the text breaks it"
            )
        return x
