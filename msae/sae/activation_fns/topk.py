"""TopK: a budget a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from msae.core.checked import checked
from msae.core.config import require
from msae.sae.activation_fns.activation_fn import ActivationFunction
from msae.sae.activation_fns.search_plan import RowBudget


@checked
@dataclass(frozen=True)
class TopK(ActivationFunction):
    """The k largest positive pre-activations of each row (Gao et al. 2024, arXiv:2406.04093)."""

    l0_setting: ClassVar[str | None] = "k"
    whole_l0: ClassVar[bool] = True
    saelens: ClassVar[str | None] = "topk"
    k: int

    def validate(self, d_sae: int) -> None:
        """k must be a whole number in [1, d_sae]."""
        ok = isinstance(self.k, int) and 0 < self.k <= d_sae
        require(ok, "k", self.k, f"a whole number of codes a row, at least 1, at most d_sae = {d_sae}")

    def train_plan(self) -> RowBudget:
        """The k largest positive entries of each row."""
        return RowBudget(self.k)

    def eval_plan(self) -> RowBudget:
        """The same as while training."""
        return self.train_plan()

    def saelens_fields(self) -> dict[str, Any]:
        """k; decoder rows have unit norm."""
        return {"k": self.k, "rescale_acts_by_decoder_norm": False}
