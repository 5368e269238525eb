"""How a search goes about it: at which level it looks first, how many it keeps, at which it looks again."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from msae.core.checked import checked
from msae.core.config import require

FUNNEL = (200, 100, 50, 25)
"""Shortlists of the published funnel: each half of the one before it, at twice the numbers."""


@checked
@dataclass(frozen=True)
class SearchPlan:
    """Stages, each a level and how many items are kept; the first looks at all items, the others at what is kept.

    `exact`: one level, all items. `adaptive`: a shortlist at one level, ranked again at another. `funnel`: shortlists
    that halve while levels rise, to the last.
    """

    stages: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        require(bool(self.stages), "stages", self.stages, "at least one level and how many items it keeps")
        levels, kept = zip(*self.stages, strict=True)
        rises = all(a < b for a, b in itertools.pairwise(levels))
        require(rises, "levels", levels, "levels that rise from stage to stage")
        shrinks = min(kept) > 0 and all(a >= b for a, b in itertools.pairwise(kept))
        require(shrinks, "shortlist", kept, "positive numbers of items that do not grow from stage to stage")

    @property
    def k(self) -> int:
        """Items that are left at the end."""
        return self.stages[-1][1]

    @classmethod
    def exact(cls, level: int, k: int) -> SearchPlan:
        """All items at one level."""
        return cls(((level, k),))

    @classmethod
    def adaptive(cls, first: int, last: int, *, shortlist: int, k: int) -> SearchPlan:
        """`shortlist` items at the level `first`, ranked again at the level `last`."""
        return cls(((first, max(shortlist, k)), (last, k)))

    @classmethod
    def funnel(cls, n_levels: int, k: int, *, first: int = 0) -> SearchPlan:
        """Shortlists 200, 100, 50, 25, … from the level `first` on, k at the last level."""
        require(0 <= first < n_levels, "first", first, f"a level from 0 to {n_levels - 1}, the last to look at")
        levels = range(first, n_levels)
        kept = [max(k, FUNNEL[min(i, len(FUNNEL) - 1)]) for i in range(len(levels))]
        return cls(tuple(zip(levels, [*kept[:-1], k], strict=True)))
