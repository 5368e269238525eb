"""`Classifier`: linear, of the codes of one level."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Classifier:
    """`weight` (width, class), `bias` (class)."""

    weight: Float[Tensor, "width class"]
    bias: Float[Tensor, " class"]

    def logits(self, codes: Float[Tensor, "rows width"]) -> Float[Tensor, "rows class"]:
        """codes · weight + bias."""
        return codes @ self.weight + self.bias
