"""Two sides of a comparison, as the address names them: levels of the run, or SAEs that `msae compare` has measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from msae.runs.layout import compared_table
from msae_dashboards.address import compare_href
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.latents import kept_level, linked
from msae_dashboards.pages.panel import Visit
from msae_dashboards.view.nodes import Content, FeatureLink, LevelChip

LEVELS = ""
"""The name of the comparison of the run's levels, in the URL too."""
PAIR_COLUMNS = ("latent", "n", "nearest_of", "partner_of")
NO_MATCH = ""


@dataclass(frozen=True)
class Side:
    """A group of latents: `level` of the run, or the SAE `name`; `own`: whether they are latents of the run."""

    name: str
    level: int | None
    own: bool

    @property
    def shown(self) -> Content:
        """Its chip or name."""
        return self.name if self.level is None else LevelChip(self.level)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A comparison, and the two of its `sides` that are looked at. `level`: of the run, where latents of one alone are
    shown (a comparison of SAEs only)."""

    name: str
    sides: tuple[Side, ...]
    a: int
    b: int
    level: int | None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, visit: Visit) -> Compared:
        """As the address has it; what it names wrongly is the beginning."""
        tables, address = visit.tables, visit.address
        known = tables.comparisons()
        name = address.query.get("with", LEVELS)
        if name in known:
            sides = tuple(Side(sae, None, sae == known[name]["own"]) for sae in known[name]["saes"])
            first, notes = (0, len(sides) - 1), tuple(known[name]["notes"])
        else:
            name, notes = LEVELS, ()
            n_levels = tables.features().n_levels
            sides = tuple(Side(f"level {level}", level, True) for level in range(n_levels))
            first = (0, min(1, n_levels - 1))
        a, b = (address.whole(key) for key in "ab")
        if a is None or b is None or a == b or max(a, b) >= len(sides):
            a, b = first
        level = kept_level(visit) if name != LEVELS and sides[a].own else None
        return cls(name=name, sides=sides, a=a, b=b, level=level, notes=notes)

    def href(self, **changed: str) -> str:
        """Its address, with changes."""
        level = "" if self.level is None else str(self.level)
        return compare_href(**{"with": self.name, "a": str(self.a), "b": str(self.b), "level": level, **changed})

    def table(self, tables: RunTables, what: str) -> pa.Table:
        """Its table of ``pairs`` or ``overlap``."""
        own = self.name == LEVELS
        return tables.table(f"level_{what}" if own else compared_table(self.name, f"compare_{what}"))

    def chance(self, tables: RunTables) -> dict[str, float | None]:
        """The cosine and phi above which a match counts."""
        overlap = self.table(tables, "overlap")
        names = ("least_cosine", "least_phi")
        return {name: pa.compute.max(overlap[name]).as_py() if name in overlap.column_names else None for name in names}

    def overlap(self, tables: RunTables) -> dict[tuple[int, int], dict[str, Any]]:
        """The rows of the table of overlaps, by the places of their sides."""
        rows = self.table(tables, "overlap").to_pylist()
        if self.name == LEVELS:
            return {(row["a"], row["b"]): row for row in rows}
        place = {side.name: number for number, side in enumerate(self.sides)}
        return {(place[row["a"]], place[row["b"]]): row for row in rows}

    def pairs(self, tables: RunTables) -> pa.Table:
        """The pairs between the two sides, `latent_a` of side a; of the level kept to. `matched` is text."""
        table = self.table(tables, "pairs")
        low, high = sorted((self.a, self.b))
        here = np.ones(len(table), dtype=bool)
        for of, side in (("a", low), ("b", high)):
            here &= self._is(table, of, self.sides[side])
        found = table.filter(here)
        if self.a > self.b:
            swapped = {f"{name}_a": f"{name}_b" for name in PAIR_COLUMNS}
            swapped |= {b: a for a, b in swapped.items()} | {"level_a": "level_b", "level_b": "level_a"}
            found = found.rename_columns([swapped.get(name, name) for name in found.column_names])
        matched = pa.array([text or NO_MATCH for text in found["matched"].cast(pa.string()).to_pylist()], pa.string())
        found = found.set_column(found.column_names.index("matched"), "matched", matched)
        if self.level is None:
            return found
        return found.filter(pa.compute.equal(found["level_a"], self.level))

    def latents(self, tables: RunTables, side: int) -> Latents:
        """The latents of a side that fire, of the level kept to (side a)."""
        group = self.sides[side]
        if self.name == LEVELS:
            features = tables.features()
            number = np.flatnonzero((features.level == group.level) & features.alive)
            tokens = [features.top_tokens[latent] for latent in number.tolist()]
            return Latents(number, features.n_tokens[number], tokens)
        table = tables.table(compared_table(self.name, "compare_latents"))
        kept = pa.compute.and_(
            pa.compute.equal(table["sae"].cast(pa.string()), group.name), pa.compute.greater(table["n_tokens"], 0)
        )
        if self.level is not None and side == self.a:
            kept = pa.compute.and_(kept, pa.compute.equal(table["level"], self.level))
        table = table.filter(kept)
        return Latents(table["latent"].to_numpy(), table["n_tokens"].to_numpy(), table["top_tokens"].to_pylist())

    def named(self, tables: RunTables, side: int, latent: int, tokens: Sequence[str]) -> FeatureLink:
        """A latent of a side: a link where it is one of the run."""
        if self.sides[side].own:
            return linked(tables, latent)
        return FeatureLink(latent, tokens=tokens, own=False)

    def _is(self, table: pa.Table, of: str, side: Side) -> np.ndarray:
        if self.name == LEVELS:
            return table[f"level_{of}"].to_numpy() == side.level
        return pa.compute.equal(table[f"sae_{of}"].cast(pa.string()), side.name).to_numpy()


@dataclass(frozen=True)
class Latents:
    """Latents of one side that fire: their numbers, on how many tokens, and the tokens that they fire on most."""

    number: Int[np.ndarray, " n"]
    n_tokens: Int[np.ndarray, " n"]
    tokens: Sequence[Sequence[str]]

    def tokens_of(self) -> dict[int, Sequence[str]]:
        """The tokens by latent."""
        return dict(zip(self.number.tolist(), self.tokens, strict=True))
