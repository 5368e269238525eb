"""Which latents a static export shows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from msae.core.config import nearest, require
from msae.core.errors import ConfigError
from msae_dashboards.data.tables import EXPLANATIONS, RunTables

MOST_CHILDREN = 6


def listed(tables: RunTables, latents: Sequence[int]) -> list[int]:
    """The latents given, each once, in order. `ConfigError` when there are none, or the run has no such latent."""
    n = len(tables.features())
    require(len(latents) > 0, "features", latents, "at least one latent")
    for latent in latents:
        require(0 <= latent < n, "features", latent, f"numbers of latents, 0 to {n - 1:,}")
    return list(dict.fromkeys(latents))


def of_level(tables: RunTables, level: int) -> list[int]:
    """All latents of a level, by number."""
    features = tables.features()
    require(0 <= level < features.n_levels, "level", level, f"a level, 0 to {features.n_levels - 1}")
    return np.flatnonzero(features.level == level).tolist()


def top(tables: RunTables, n: int, by: str) -> list[int]:
    """The `n` latents with the largest value of a column of ``features`` or ``explanations``, the largest first, ties
    by number. Latents without a value are left out."""
    require(n >= 1, "top", n, "at least one")
    values = _column(tables, by)
    order = np.lexsort((np.arange(len(values)), -values))
    return order[: min(n, int((~np.isnan(values)).sum()))].tolist()


def families(tables: RunTables, n: int) -> list[int]:
    """`n` latents that belong together: those that split (two children or more), each followed by its children and
    theirs (at most `MOST_CHILDREN` a parent, the strongest edges first).

    They come in the order of how well a sentence explains them (F1 on held-out tokens; without explanations: how often
    they fire), taken in turn from each level. When families run out, the best explained of the other latents follow.
    """
    require(n >= 1, "top", n, "at least one")
    features = tables.features()
    fame = features.f1 if features.has_explanations else features.density
    fame = np.where(features.alive, np.nan_to_num(fame, nan=-1.0), -np.inf)
    children = _children(tables.table("tree"))
    split = sorted((p for p in children if len(children[p]) > 1), key=lambda p: (-fame[p], p))
    by_level = [[p for p in split if features.level[p] == level] for level in range(features.n_levels)]
    in_turn = [p for turn in zip_longest(*by_level) for p in turn if p is not None]
    found: dict[int, None] = {}
    for root in in_turn:
        waiting = [root]
        while waiting and len(found) < n:
            latent = waiting.pop(0)
            if latent not in found:
                found[latent] = None
                waiting += children.get(latent, [])[:MOST_CHILDREN]
    others = np.lexsort((np.arange(len(fame)), -fame)).tolist()
    return list(dict.fromkeys([*found, *others]))[:n]


def _children(tree: pa.Table) -> dict[int, list[int]]:
    """Every parent's children, the strongest edge first."""
    found: dict[int, list[int]] = {}
    for edge in np.argsort(-tree["strength"].to_numpy(), kind="stable").tolist():
        found.setdefault(tree["parent"][edge].as_py(), []).append(tree["child"][edge].as_py())
    return found


def _column(tables: RunTables, name: str) -> Float[np.ndarray, " d_sae"]:
    n = len(tables.features())
    known: list[str] = []
    for table in (tables.table(each) for each in ("features", EXPLANATIONS) if tables.has(each)):
        numbers = [
            field.name
            for field in table.schema
            if (pa.types.is_integer(field.type) or pa.types.is_floating(field.type)) and field.name != "latent"
        ]
        if name in numbers:
            values = np.full(n, np.nan)
            values[table["latent"].to_numpy()] = table[name].to_numpy().astype(np.float64)
            return values
        known += numbers
    raise ConfigError(f"by = {name!r}: no column of numbers has that name{nearest(name, known)}; known: {known}")
