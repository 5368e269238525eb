"""Which latents are dead: silent for a number of tokens, counted from the codes that were selected."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor


class SilenceCounter:
    """Counts, for every latent, the tokens since it last fired."""

    def __init__(self, d_sae: int, dead_after_tokens: int, device: torch.device | str = "cpu") -> None:
        self.tokens_silent: Int[Tensor, " d_sae"] = torch.zeros(d_sae, dtype=torch.int64, device=device)
        self.dead_after_tokens = dead_after_tokens

    def update(self, fired: Bool[Tensor, " d_sae"], n_rows: int, valid: Bool[Tensor, ""]) -> None:
        """Take in a batch of `n_rows` rows on which the latents `fired`; change nothing unless it is `valid`."""
        counts = (self.tokens_silent + n_rows).masked_fill_(fired, 0)
        self.tokens_silent.copy_(torch.where(valid, counts, self.tokens_silent))

    def dead(self) -> Bool[Tensor, " d_sae"]:
        """True for latents silent for `dead_after_tokens` or more."""
        return self.tokens_silent >= self.dead_after_tokens
