"""Which latents of one level are which of another: the same thing found twice, or what the wider level calls it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from msae.analysis.hierarchy.matching import LATENT_PAIRS, OVERLAP, Groups, match_latents, overlap
from msae.analysis.measurement import Figure, Result
from msae.analysis.rendering import ShownTable
from msae.analysis.sample import Collected
from msae.analysis.tables import Column, TableSpec, by_column, make_table
from msae.core.config import require

if TYPE_CHECKING:
    from rich.console import RenderableType

LEVEL_OVERLAP = TableSpec(
    "level_overlap",
    "two levels, the latents of one looked for in the other",
    Column("a", pa.int16(), "the level whose latents are looked for", heading="level"),
    Column("b", pa.int16(), "the level they are looked for in", heading="in level"),
    *OVERLAP,
)


@dataclass(frozen=True, kw_only=True)
class LevelPairs:
    """Which latents of one level are found again in another, by direction or by firing.

    `nearest`: of every latent, so many of each other level by either measure.
    """

    name: ClassVar[str] = "level_pairs"
    tables: ClassVar[tuple[TableSpec, ...]] = (LATENT_PAIRS, LEVEL_OVERLAP)

    nearest: int = 3

    def __post_init__(self) -> None:
        require(self.nearest >= 1, "nearest", self.nearest, "at least one")

    def run(self, collected: Collected) -> Result:
        """Tables ``level_pairs`` and ``level_overlap`` (two levels)."""
        level, codes, least = collected.level_of, collected.codes, collected.pair_settings.min_tokens
        groups = Groups(group=level, sae=np.zeros_like(level), level=level, latent=np.arange(len(level)), names=("",))
        nulls = (collected.null_codes, collected.second_null_codes)
        found = match_latents(codes, nulls, collected.directions, groups, nearest=self.nearest, min_tokens=least)
        summary: dict[str, Figure] = {
            "matched": int(pa.compute.count(found.pairs["matched"]).as_py()),
            "matched_by_chance": sum(chance.expected for chance in found.chance.values()),
        }
        rows = overlap(found, codes, level, least)
        return Result(
            tables={
                "level_pairs": found.pairs,
                "level_overlap": make_table(LEVEL_OVERLAP, by_column(LEVEL_OVERLAP, rows), summary),
            },
            summary=summary,
        )

    def render(self, result: Result, tables: Mapping[str, pa.Table]) -> list[RenderableType]:
        """One row an ordered pair of levels; nothing for an SAE of one level."""
        rows = result.tables["level_overlap"].to_pylist()
        title = "Latents of a level found again in another: each the other's nearest, by direction or by co-firing"
        return [ShownTable.of(LEVEL_OVERLAP, rows, title=title)] if rows else []
