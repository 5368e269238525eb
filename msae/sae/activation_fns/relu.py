"""ReLU with an L1 penalty: the SAE as it began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from msae.core.checked import checked
from msae.core.config import require
from msae.sae.activation_fns.activation_fn import ActivationFunction, FoundCodes, OwnGradients, setting
from msae.sae.activation_fns.search_plan import LatentFloor


@checked
@dataclass(frozen=True, kw_only=True)
class ReLU(ActivationFunction):
    """f = max(z, 0) with the penalty `l1_coefficient` · Σ_j f_j ‖W_dec_j‖, mean over rows, counted once."""

    has_penalty: ClassVar[bool] = True
    saelens: ClassVar[str | None] = "standard"
    l1_coefficient: int | float = setting("Coefficient of the L1 penalty.", flag="l1")

    def __post_init__(self) -> None:
        require(self.l1_coefficient >= 0, "l1_coefficient", self.l1_coefficient, "zero or more")

    @classmethod
    def example(cls, d_sae: int) -> ReLU:
        """A mild penalty."""
        return cls(l1_coefficient=0.02)

    def validate(self, d_sae: int) -> None:
        """Any d_sae will do."""

    def train_plan(self) -> LatentFloor:
        """z > 0."""
        return LatentFloor(uses_threshold=False)

    def eval_plan(self) -> LatentFloor:
        """z > 0."""
        return self.train_plan()

    def for_more_codes(self) -> str:
        """A penalty that weighs less: outer latents pay all of it, and take part in the loss of one level."""
        return f"an l1_coefficient below {self.l1_coefficient:g}"

    def penalty(
        self,
        pre: Float[Tensor, "batch d_sae"],
        codes: Float[Tensor, "batch d_sae"],
        W_dec: Float[Tensor, "d_sae d_in"],
        threshold: Float[Tensor, " d_sae"],
    ) -> Float[Tensor, ""]:
        """`l1_coefficient` · Σ_j f_j ‖W_dec_j‖."""
        return self.l1_coefficient * (codes * W_dec.norm(dim=1)).sum(1).mean()

    def own_gradients(
        self, found: FoundCodes, W_dec: Float[Tensor, "d_sae d_in"], threshold: Float[Tensor, " d_sae"]
    ) -> OwnGradients:
        """Through the codes that fire, and through the decoder's norms."""
        norm, share = W_dec.norm(dim=1), self.l1_coefficient / found.n_rows
        total_value = torch.zeros_like(norm).index_add_(0, found.latent, found.value)
        return OwnGradients(
            penalty=share * (total_value * norm).sum(),
            codes=torch.where(found.fires, share * norm[found.latent], 0.0),
            W_dec=(share * total_value / norm)[:, None] * W_dec,
        )
