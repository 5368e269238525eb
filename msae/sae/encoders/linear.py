"""The linear encoder: one product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from msae.sae.encoders.encoder import Encoder


@dataclass(frozen=True, kw_only=True)
class Linear(Encoder):
    """z = (x − b_dec) W_enc + b_enc."""

    one_product: ClassVar[bool] = True

    def pre_activations(
        self,
        x: Float[Tensor, "batch d_in"],
        W_enc: Float[Tensor, "d_in d_sae"],
        b_enc: Float[Tensor, " d_sae"],
        b_dec: Float[Tensor, " d_in"],
    ) -> Float[Tensor, "batch d_sae"]:
        """z."""
        return (x - b_dec) @ W_enc + b_enc
