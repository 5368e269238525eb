"""`CollectSettings`: what a pass over a sample collects."""

from __future__ import annotations

from dataclasses import dataclass, field

from msae.analysis.collect.cofiring import PairSettings
from msae.analysis.collect.examples import ExampleSettings
from msae.core.config import require


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
