"""`Collected`: a sample's codes, where they came from, and the tables of what every latent does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.activations.source import ActivationSource
from msae.analysis.sample.levelled import Levelled
from msae.analysis.sample.origin import Rows
from msae.analysis.sample.token_text import TokenText
from msae.sae.autoencoder import SparseAutoencoder


@dataclass(frozen=True, kw_only=True)
class Collected(Levelled):
    """A sample's codes and what was made of them. `rows` are read again by measurements that need activations.

    `source`: the model they came from, for measurements that need its predictions. `tables`: ``features``,
    ``histograms``, ``bands``, ``examples``, ``pairs``, ``neighbours`` and, with an unembedding, ``logits`` and
    ``logit_histograms``.
    """

    sae: SparseAutoencoder
    rows: Rows
    tables: dict[str, pa.Table]
    text: TokenText | None = None
    source: ActivationSource | None = None

    @cached_property
    def level_of(self) -> Int[np.ndarray, " d_sae"]:
        """The level of each latent."""
        return self.sae.level_of.cpu().numpy()

    @cached_property
    def directions(self) -> Float[Tensor, "d_sae d_in"]:
        """The decoder directions, unit rows, float32, on the CPU."""
        return torch.nn.functional.normalize(self.sae.W_dec.detach().float().cpu(), dim=1)

    def cosine(self, a: Int[np.ndarray, " pairs"], b: Int[np.ndarray, " pairs"]) -> Float[np.ndarray, " pairs"]:
        """Cosine of the decoder directions of each pair."""
        parts = [
            torch.linalg.vecdot(self.directions[torch.from_numpy(a[part])], self.directions[torch.from_numpy(b[part])])
            for part in (slice(first, first + (1 << 14)) for first in range(0, len(a), 1 << 14))
        ]
        return torch.cat(parts).numpy() if parts else np.empty(0, np.float32)
