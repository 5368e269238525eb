"""What the trainer must know of its data before the first step: mean, scale and variance."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from msae.activations.moments import moments, scale_from_moments, variance_from_moments
from msae.core.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Training sees s·x with E‖s·x‖² = d_in. `mean` and `variance` = E‖x − x̄‖² are those of x itself."""

    scale: float
    mean: Float[Tensor, " d_in"]
    variance: float

    @classmethod
    def from_moments(cls, mean: Float[Tensor, " d_in"], mean_squared_norm: float) -> Scaling:
        """From a store's moments. Raises `TrainingError` when the rows do not vary."""
        variance = variance_from_moments(mean, mean_squared_norm)
        if not variance > 1e-12 * mean_squared_norm:
            raise TrainingError(
                f"the activations do not vary (E‖x − x̄‖² = {variance:.3g}, E‖x‖² = {mean_squared_norm:.3g}): "
                "there is nothing to learn; check the hook and the text"
            )
        return cls(scale=scale_from_moments(mean_squared_norm, mean.numel()), mean=mean, variance=variance)

    @classmethod
    def from_rows(cls, rows: Float[Tensor, "rows d_in"]) -> Scaling:
        """From a sample of rows."""
        return cls.from_moments(*moments(rows))

    @property
    def scaled_variance(self) -> float:
        """E‖s·x − s·x̄‖²."""
        return self.variance * self.scale**2
