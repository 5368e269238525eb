"""Which latents of one level are which of another: the same thing found twice, or what the wider level calls it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from msae.analysis.hierarchy.matching import Groups, chance, latent_pairs, overlap
from msae.analysis.measurement import Figure, Result
from msae.analysis.sample import Collected
from msae.analysis.tables import FEW, NEVER, OK, WORD, Column, make_table
from msae.core.config import require

LEVEL_OVERLAP = (
    Column("a", pa.int16(), "the level whose latents are looked for"),
    Column("b", pa.int16(), "the level they are looked for in"),
    Column(
        "status",
        WORD,
        f"'{OK}'; '{FEW}': no latent of one fires often enough to be matched by firing; '{NEVER}': one is silent",
    ),
    Column("live", pa.int32(), "latents of a's band that fire"),
    Column("matched", pa.int32(), "of these, matched in b's band: by direction, by co-firing or by both"),
    Column("by_both", pa.int32(), "of these, matched by both"),
    Column("share", pa.float32(), "matched / live; null where none is live"),
    Column("mean_cosine", pa.float32(), "mean cosine with the nearest direction of b; null where there is none"),
    Column("mean_phi", pa.float32(), "mean phi with the best partner in b; null where there is none"),
)


@dataclass(frozen=True, kw_only=True)
class LevelPairs:
    """`nearest`: of every latent, so many of each other level by either measure."""

    name: ClassVar[str] = "level_pairs"

    nearest: int = 3

    def __post_init__(self) -> None:
        require(self.nearest >= 1, "nearest", self.nearest, "at least one")

    def run(self, collected: Collected) -> Result:
        """Tables ``level_pairs`` (columns: `matching.LATENT_PAIRS`) and ``level_overlap`` (two levels)."""
        level, codes = collected.level_of, collected.codes
        groups = Groups(group=level, sae=np.zeros_like(level), level=level, latent=np.arange(len(level)), names=("",))
        pairs = latent_pairs(
            codes,
            collected.null_codes,
            collected.directions,
            groups,
            nearest=self.nearest,
            min_tokens=collected.settings.pairs.min_tokens,
        )
        live, often = (
            [int((codes.counts[level == g] >= least).sum()) for g in range(collected.n_levels)]
            for least in (1, collected.settings.pairs.min_tokens)
        )
        found = overlap(pairs, pairs["level_a"].to_numpy(), pairs["level_b"].to_numpy(), live, often)
        columns = {column.name: [row[column.name] for row in found] for column in LEVEL_OVERLAP}
        summary: dict[str, Figure] = {"matched": int(pa.compute.count(pairs["matched"]).as_py()), **chance(pairs)}
        table = make_table(
            LEVEL_OVERLAP, columns, summary, row="two levels, the latents of one looked for in the other"
        )
        return Result(tables={"level_pairs": pairs, "level_overlap": table}, summary=summary)
