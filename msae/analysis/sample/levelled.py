"""Codes whose latents lie in levels, the pairs of latents that fire together, and the same of the null model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int

from msae.analysis.sample.code_table import CodeTable
from msae.analysis.sample.collect_settings import CollectSettings
from msae.analysis.sample.origin import Origin
from msae.analysis.sample.pairs import Pairs, find_pairs
from msae.analysis.sample.shift import shift_bounds, shifted


@dataclass(frozen=True, kw_only=True)
class Levelled(ABC):
    """A sample's codes: of one nested SAE (`Collected`), or of several SAEs side by side (`JoinedCodes`).

    `pairs`: the co-firing pairs kept. `scratch`: the folder for files of codes; None is the system's own.
    """

    codes: CodeTable
    origin: Origin
    pairs: Pairs
    settings: CollectSettings
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
    def null_model(self) -> str:
        """How the codes of `null_codes` were shifted."""
        return shift_bounds(self.origin)[1]

    @cached_property
    def null_codes(self) -> CodeTable:
        """The codes, shifted."""
        return shifted(self.codes, self.origin, seed=self.settings.seed, scratch=self.scratch)

    @cached_property
    def null_pairs(self) -> Pairs:
        """The pairs kept of the shifted codes, by the same rule."""
        return find_pairs(self.null_codes, self.level_of, self.settings.pairs)
