"""Which latents are dead: silent for a number of tokens, counted from the codes that were selected."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from msae.sae.codes import SparseCodes


class SilenceCounter:
    """Counts, for every latent, the tokens since it last fired."""

    def __init__(self, d_sae: int, dead_after_tokens: int, device: torch.device | str = "cpu") -> None:
        self.tokens_silent: Int[Tensor, " d_sae"] = torch.zeros(d_sae, dtype=torch.int64, device=device)
        self.dead_after_tokens = dead_after_tokens

    def update(self, codes: SparseCodes) -> None:
        """Take in the codes of one batch."""
        self.tokens_silent += codes.n_rows
        self.tokens_silent[codes.latent] = 0

    def dead(self) -> Bool[Tensor, " d_sae"]:
        """True for latents silent for `dead_after_tokens` or more."""
        return self.tokens_silent >= self.dead_after_tokens
