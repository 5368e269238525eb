"""`CollectSettings`: what a pass over a sample collects."""

from __future__ import annotations

from dataclasses import dataclass, field

from msae.analysis.sample.pairs import PairSettings
from msae.core.config import require


@dataclass(frozen=True, kw_only=True)
class ExampleSettings:
    """How many examples. `reach`: tokens of context on either side."""

    top: int = 16
    bands: int = 5
    per_band: int = 4
    reach: int = 16

    def __post_init__(self) -> None:
        require(self.top >= 0, "top", self.top, "a count, 0 or more")
        require(self.bands >= 1, "bands", self.bands, "at least one quantile band")
        require(self.per_band >= 0, "per_band", self.per_band, "a count, 0 or more")
        require(0 <= self.reach < 1 << 14, "reach", self.reach, "a count of tokens, 0 or more")


@dataclass(frozen=True, kw_only=True)
class CollectSettings:
    """What is collected. `n_bins`: bins of a latent's histograms. `neighbours`: nearest directions of either kind.
    `logits`: tokens on either side. `seed`: of the shifts of the null model."""

    examples: ExampleSettings = field(default_factory=ExampleSettings)
    pairs: PairSettings = field(default_factory=PairSettings)
    n_bins: int = 40
    neighbours: int = 8
    logits: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.n_bins >= 1, "n_bins", self.n_bins, "at least one bin")
        require(self.neighbours >= 0, "neighbours", self.neighbours, "a count, 0 or more")
        require(self.logits >= 0, "logits", self.logits, "a count, 0 or more")
