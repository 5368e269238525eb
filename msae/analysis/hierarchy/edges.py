"""Parent → child edges between bands: c hardly ever fires without p.

    P(p | c) ≥ `conditional`, and together more often than chance has it within documents (at a false discovery rate
    over all pairs of latents that fire often enough, within bands and across; the cut is calibrated on shifted codes)

p lies in an inner band, c in any later one. All edges are kept: a latent may have several parents, and a grandparent is
one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from msae.analysis.sample import CodeTable, Levelled, Pairs
from msae.analysis.tables import Column
from msae.core.errors import ConfigError

STEP = Column("levels", pa.string(), "level of the parents → level of the children")
"""How a pair of levels is shown."""


def with_steps(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a pair of levels, with `STEP`."""
    return [{**row, "levels": f"{row['parent_level']} → {row['child_level']}"} for row in rows]


@dataclass(frozen=True, kw_only=True)
class Edges:
    """The edges, in the order (parent, child); `pair` is their place in `Pairs`."""

    parent: Int[np.ndarray, " edges"]
    child: Int[np.ndarray, " edges"]
    pair: Int[np.ndarray, " edges"]

    def __len__(self) -> int:
        return len(self.parent)


def find_edges(collected: Levelled, conditional: float) -> Edges:
    """The edges of a sample. `ConfigError` when pairs with such a conditional probability were not all kept."""
    return _edges(collected, collected.pairs, collected.codes, conditional)


def null_edges(collected: Levelled, conditional: float) -> Edges:
    """The edges of the same codes, shifted (anew: not as for the cut of what is significant): what chance gives."""
    return _edges(collected, collected.null_pairs, collected.second_null_codes, conditional)


def implications(pairs: Pairs, codes: CodeTable, conditional: float) -> int:
    """How many significant pairs imply one another in either direction, whatever their bands: (p, c) and (c, p) count
    apart."""
    either = [pairs.together >= conditional * codes.counts[latent] for latent in (pairs.a, pairs.b)]
    return sum(int((implied & pairs.significant).sum()) for implied in either)


def share_in_order(level_of: Int[np.ndarray, " d_sae"]) -> float:
    """The chance that, of two latents in random order, the first lies in an inner and the second in a later band."""
    sizes = np.bincount(level_of).astype(float)
    n = len(level_of)
    return 0.0 if n < 2 else float((1 - (sizes * (sizes - 1)).sum() / (n * (n - 1))) / 2)


def _edges(collected: Levelled, pairs: Pairs, codes: CodeTable, conditional: float) -> Edges:
    kept = collected.pair_settings.conditional
    if conditional < kept:
        raise ConfigError(
            f"conditional = {conditional}: pairs were kept from {kept} on; collect with "
            f"PairSettings(conditional={conditional}) or less"
        )
    level = collected.level_of
    across = level[pairs.a] < level[pairs.b]
    implied = pairs.together >= conditional * codes.counts[pairs.b]
    pair = np.flatnonzero(across & implied & pairs.significant)
    return Edges(parent=pairs.a[pair], child=pairs.b[pair], pair=pair)
