"""What an encoder is: how an activation becomes pre-activations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Encoder(ABC):
    """Makes pre-activations z from activations x. It holds no tensor: parameters lie in the SAE.

    `one_product`: z is (x − b_dec) W_enc + b_enc and nothing else, which a kernel may search block by block without
    holding z. Kernels that can do no more refuse an encoder that is more than that.
    """

    one_product: ClassVar[bool] = False

    @abstractmethod
    def pre_activations(
        self,
        x: Float[Tensor, "batch d_in"],
        W_enc: Float[Tensor, "d_in d_sae"],
        b_enc: Float[Tensor, " d_sae"],
        b_dec: Float[Tensor, " d_in"],
    ) -> Float[Tensor, "batch d_sae"]:
        """z, differentiable in all four."""

    @classmethod
    def example(cls, d_sae: int) -> Encoder:
        """A small one that fits `d_sae` latents: what the contract tests and the docs try."""
        return cls()
