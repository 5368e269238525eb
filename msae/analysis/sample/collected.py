"""A sample's codes, where they came from, which latents fire together, and the same of the null model.

`Levelled`: latents that lie in levels, of one nested SAE (`Collected`) or of several side by side (`JoinedCodes`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.activations.source import ActivationSource
from msae.analysis.sample.code_table import CodeTable
from msae.analysis.sample.origin import Origin, Rows
from msae.analysis.sample.pairs import Pairs, PairSettings, find_pairs
from msae.analysis.sample.shift import shift_bounds, shifted
from msae.analysis.sample.token_text import TokenText
from msae.sae.autoencoder import SparseAutoencoder


@dataclass(frozen=True, kw_only=True)
class Levelled(ABC):
    """A sample's codes, and the same shifted (`null_codes`). `pairs`: the co-firing pairs kept, by `pair_settings`,
    significant by a cut calibrated on `null_codes`. `seed`: of the shifts of the null model. `scratch`: the folder for
    files of codes; None is the system's own.
    """

    codes: CodeTable
    null_codes: CodeTable
    origin: Origin
    pairs: Pairs
    pair_settings: PairSettings
    seed: int = 0
    scratch: Path | None = None

    @property
    @abstractmethod
    def level_of(self) -> Int[np.ndarray, " d_sae"]:
        """The level of each latent."""

    @property
    def n_levels(self) -> int:
        """How many levels there are."""
        return int(self.level_of.max()) + 1

    @property
    def often(self) -> Bool[np.ndarray, " d_sae"]:
        """Which latents fire on enough rows (`PairSettings.min_tokens`) for a figure about them."""
        return np.asarray(self.codes.counts >= self.pair_settings.min_tokens)

    @property
    def null_model(self) -> str:
        """How the codes of `null_codes` were shifted."""
        return shift_bounds(self.origin)[1]

    @cached_property
    def second_null_codes(self) -> CodeTable:
        """The codes, shifted anew: what a cut found on `null_codes` lets through is counted on these."""
        return shifted(self.codes, self.origin, seed=self.seed + 1, scratch=self.scratch)

    @cached_property
    def null_pairs(self) -> Pairs:
        """The pairs kept of `second_null_codes`, by the same rule and the same cut."""
        bounds, _ = shift_bounds(self.origin)
        settings, cut = self.pair_settings, self.pairs.cut
        return find_pairs(self.second_null_codes, self.level_of, settings, bounds=bounds, cut=cut)


@dataclass(frozen=True, kw_only=True)
class Collected(Levelled):
    """The codes of one SAE and what was made of them. `rows` are read again by measurements that need activations.

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
        return unit_directions(self.sae)

    def cosine(self, a: Int[np.ndarray, " pairs"], b: Int[np.ndarray, " pairs"]) -> Float[np.ndarray, " pairs"]:
        """Cosine of the decoder directions of each pair."""
        return pair_cosines(self.directions, a, b)


def unit_directions(sae: SparseAutoencoder) -> Float[Tensor, "d_sae d_in"]:
    """The decoder directions of an SAE, unit rows, float32, on the CPU."""
    return torch.nn.functional.normalize(sae.W_dec.detach().float().cpu(), dim=1)


def pair_cosines(
    directions: Float[Tensor, "latents d_in"], a: Int[np.ndarray, " pairs"], b: Int[np.ndarray, " pairs"]
) -> Float[np.ndarray, " pairs"]:
    """Cosine of each pair of unit directions. At most 2¹⁴ pairs are held at once."""
    parts = [
        torch.linalg.vecdot(directions[torch.from_numpy(a[part])], directions[torch.from_numpy(b[part])])
        for part in (slice(first, first + (1 << 14)) for first in range(0, len(a), 1 << 14))
    ]
    return torch.cat(parts).numpy() if parts else np.empty(0, np.float32)
