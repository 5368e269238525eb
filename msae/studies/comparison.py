"""`Comparison`: what `compare_levels` and `compare_runs` found, as data frames, a figure, and for the eye."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from msae.analysis.features.ranked import ranked
from msae.analysis.features.statistics import FEATURES, FeatureStatistics
from msae.analysis.hierarchy.matching import BY_BOTH, BY_COSINE, BY_FIRING, OVERLAP, Groups
from msae.analysis.levels.level_table import LEVELS, LevelTable
from msae.analysis.levels.rate_distortion import RATE_DISTORTION
from msae.analysis.rendering import ShownTable
from msae.analysis.sample import CodeTable, Origin, TokenText
from msae.analysis.tables import WORD, Column, TableSpec, by_column, make_table, words, write_tables

if TYPE_CHECKING:
    from rich.console import Group

RATES = ("level", "width", "step_over_rms", "bits_firing", "bits_values", "bits", "fvu")
RUN = Column("run", WORD, "name of the run")
COMPARED_LEVELS = TableSpec("compare_levels", "a level of a run: what it is worth", RUN, *LEVELS.columns)
COMPARED_OVERLAP = TableSpec(
    "compare_overlap",
    "two groups of latents, those of one looked for in the other",
    Column("a", WORD, "the group whose latents are looked for"),
    Column("b", WORD, "the group they are looked for in"),
    *OVERLAP,
)
COMPARED_RATE = TableSpec(
    "compare_rate",
    "a level of a run and a quantiser step: bits and FVU",
    RUN,
    *(RATE_DISTORTION[name] for name in RATES),
)
LATENTS = TableSpec(
    "compare_latents",
    "a latent of one of the SAEs",
    Column("sae", WORD, "name of the SAE"),
    *FEATURES.columns,
)
SHOWN = (
    "run",
    "level",
    "width",
    "l0",
    "fvu",
    "ce_sae",
    "ce_recovered_unigram",
    "ce_recovered",
    "kl",
    "dead",
    "dense",
    "bits",
)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Tidy tables, one row a thing.

    `levels`: a level of a run (columns: `level_table.DEFINITIONS`). `pairs`: two latents that are near
    each other in direction or in firing (columns: `matching.LATENT_PAIRS`, an Arrow table). `overlap`:
    two groups, how many of a's live latents are matched in b (by either measure, and by both), and how near the nearest
    is on average; `status`: ok, too few tokens (no latent of a, or none of b, fires often enough to be matched by
    firing), or never fires (a or b is silent). `rate`: a level and a quantiser step, bits a token and FVU. `latents`: a
    latent of one of the SAEs (columns: `LATENTS`, an Arrow table). `notes`: what a reader must know.
    """

    levels: pd.DataFrame
    pairs: pa.Table
    overlap: pd.DataFrame
    rate: pd.DataFrame
    latents: pa.Table
    n_tokens: int
    notes: tuple[str, ...] = ()

    @cached_property
    def matches(self) -> pd.DataFrame:
        """The pairs that are matched: each the other's nearest, beyond chance; those matched by both first."""
        frame = self.pairs.to_pandas()
        kept = frame[frame["matched"].notna()].astype({"matched": str})
        order = kept["matched"].map({BY_BOTH: 0, BY_COSINE: 1, BY_FIRING: 2}).to_numpy()
        return kept.iloc[np.lexsort((-kept["cosine"].to_numpy(), order))].reset_index(drop=True)

    def figure(self) -> Any:
        """A plotly figure: FVU, CE recovered, L0 and dead by width, rate–distortion, and what is found again where."""
        from msae.plots.comparison import comparison_figure

        return comparison_figure(_records(self.levels), _records(self.rate), _records(self.overlap))

    def write(self, folder: str | Path) -> list[Path]:
        """Write ``compare_levels``, ``compare_pairs``, ``compare_overlap``, ``compare_rate`` and ``compare_latents`` to
        `folder`."""
        frames = ((COMPARED_LEVELS, self.levels), (COMPARED_OVERLAP, self.overlap), (COMPARED_RATE, self.rate))
        tables = {spec.name: make_table(spec, by_column(spec, _records(frame))) for spec, frame in frames}
        return write_tables({**tables, "compare_pairs": self.pairs, "compare_latents": self.latents}, Path(folder))

    def __repr__(self) -> str:
        levels = self.levels["run"].value_counts(sort=False)
        runs = ", ".join(f"{run} ({count} levels)" for run, count in levels.items())
        return f"Comparison({runs} on {self.n_tokens:,} tokens, {len(self.matches):,} latents matched)"

    def __rich__(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        return Group(*self._shown(), Text("\n".join([self._summary(), *self.notes])))

    def _repr_html_(self) -> str:
        from html import escape

        tables = "".join(table.html() for table in self._shown())
        return tables + "".join(f"<p>{escape(line)}</p>" for line in (self._summary(), *self.notes))

    def _shown(self) -> list[ShownTable]:
        names = [name for name in SHOWN if not self.levels[name].isna().all()]
        return [
            ShownTable.of(COMPARED_LEVELS, _records(self.levels), *names, title="What each level is worth"),
            ShownTable.of(COMPARED_OVERLAP, _records(self.overlap), title="Latents found again"),
        ]

    def _summary(self) -> str:
        return (
            f"Latents on {self.n_tokens:,} tokens. Matched: each the other's nearest, by cosine above least_cosine or "
            "by phi of firing above least_phi (99.9th percentiles of the nearest in the nulls of the two groups); by "
            "chance: how many matches these give. .figure() draws it; .levels, .matches, .overlap and .rate are data "
            "frames."
        )


def latent_table(codes: CodeTable, origin: Origin, groups: Groups, text: TokenText | None) -> pa.Table:
    """One row a latent of `LATENTS`, from the joined codes of the SAEs."""
    statistics = FeatureStatistics(codes, origin, 1)
    for block in ranked(codes):
        statistics.update(block)
    columns = statistics.features(groups.level, 1, text)
    columns |= {"latent": groups.latent, "sae": words(groups.names, groups.sae)}
    return make_table(LATENTS, columns, {"n_tokens": codes.n_rows})


def levels_frame(series: Iterable[tuple[str, Sequence[LevelTable]]]) -> pd.DataFrame:
    """One row a level; where a series has several SAEs of one level each, they are numbered through as its levels."""
    rows: list[dict[str, Any]] = []
    for name, tables in series:
        for place, table in enumerate(tables):
            for row in table.records():
                rows.append({"run": name, **row, **({"level": place} if len(tables) > 1 else {})})
    return pd.DataFrame(rows)


def rate_frame(series: Iterable[tuple[str, Sequence[Mapping[str, Any]]]]) -> pd.DataFrame:
    """One row a level and step."""
    return pd.DataFrame([{"run": name, **record} for name, records in series for record in records])


def overlap_frame(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> pd.DataFrame:
    """One row an ordered pair of groups (`msae.analysis.hierarchy.matching.overlap`), by their names."""
    return pd.DataFrame([{**row, "a": names[row["a"]], "b": names[row["b"]]} for row in rows])


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return frame.astype(object).where(frame.notna(), None).to_dict("records")
