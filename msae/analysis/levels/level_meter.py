"""Every level's figures that need activations alone: reconstruction, sparsity, and the rate of the codes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from msae.analysis.levels.rate import RateAccumulator
from msae.core.errors import EvaluationError
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.codes import SparseCodes
from msae.sae.metrics import LevelAccumulator, LevelFigures, squared_error, unexplained


class LevelMeter:
    """Streams rows through an SAE that is in `eval()` mode; memory does not grow with the sample.

    `sink_norm`: see `LevelAccumulator`.
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
        self._rate = RateAccumulator(sae.prefix_widths, quantiser_step)
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
    def update(self, x: Float[Tensor, "rows d_in"]) -> tuple[SparseCodes, SparseCodes]:
        """Take rows in; returns their codes, and the codes rounded. `EvaluationError` for rows that are not finite."""
        x = x.to(self.sae.device, self.sae.dtype)
        if not torch.isfinite(x).all():
            raise EvaluationError(
                f"there are NaN or infinite activations after row {self.n_rows}: the model overflows in its dtype "
                "(open it in float32 or bfloat16), or the text breaks it"
            )
        codes = self._levels.update(x)
        rounded = self._rate.update(codes)
        for level, x_hat in enumerate(self.sae.decode_levels(rounded)):
            self._quantised_error[level] += squared_error(x, x_hat).sum().cpu()
        return codes, rounded

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
