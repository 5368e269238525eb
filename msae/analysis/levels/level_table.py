"""`LevelTable`: what every level of an SAE is worth, with the sample it was measured on and what each figure means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from msae.analysis.rendering import ShownTable
from msae.analysis.tables import Column, TableSpec
from msae.core.checked import checked
from msae.core.config import from_dict, to_dict
from msae.core.errors import ConfigError, EvaluationError
from msae.core.files import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd

INT, FLOAT = pa.int64(), pa.float64()

LEVELS = TableSpec(
    "levels",
    "a level: what its prefix, or the band it adds, is worth",
    Column("level", INT, "0 is the smallest, outermost prefix of the latents"),
    Column("width", INT, "latents in the prefix: this level's and those of all levels before it"),
    Column("band_width", INT, "latents this level adds (its band)"),
    Column("l0", FLOAT, "prefix: mean number of latents that fire on a token", "latents a token", "L0", 2),
    Column("fvu", FLOAT, "prefix: sum |x - x_hat|^2 / sum |x - mean|^2, the mean over the whole sample", "", "FVU", 4),
    Column(
        "fvu_ordinary",
        FLOAT,
        "fvu of ordinary rows alone, the mean over these: those of a norm up to sample.sink_norm, 10 x the median norm",
        "",
        "FVU ordinary",
        4,
    ),
    Column("l0_ordinary", FLOAT, "l0 of ordinary rows alone", "latents a token", digits=2),
    Column("ev", FLOAT, "1 - fvu", heading="EV", digits=4),
    Column(
        "ev_legacy",
        FLOAT,
        "prefix: mean over tokens of 1 - |x - x_hat|^2 / |x - mean|^2, the mean over each batch alone, as published "
        "SAEBench figures have it; depends on the batches",
        digits=4,
    ),
    Column("cosine", FLOAT, "prefix: mean over tokens of cos(x, x_hat)", digits=3),
    Column(
        "ce_clean",
        FLOAT,
        "cross-entropy of the untouched model, in nats a prediction, over predictions made at a token of a document of "
        "the next token of the same document (never of its first token, nor at BOS or padding)",
        "nats",
        "CE clean",
        3,
    ),
    Column(
        "ce_sae",
        FLOAT,
        "prefix: the same with x_hat in place of x at every token of a document; special positions keep theirs",
        "nats",
        "CE",
        3,
    ),
    Column("ce_lost", FLOAT, "prefix: ce_sae - ce_clean", "nats", "CE lost", 3),
    Column("ce_zero", FLOAT, "the same with zeros in place of x", "nats", "CE zeros", 3),
    Column("ce_mean", FLOAT, "the same with the sample's mean in place of x", "nats", "CE mean", 3),
    Column(
        "ce_unigram",
        FLOAT,
        "cross-entropy of the same predictions by how often each token occurs among them, whatever comes before: no "
        "guess without context does better on them",
        "nats",
        "CE unigram",
        3,
    ),
    Column(
        "ce_recovered",
        FLOAT,
        "prefix: (ce_zero - ce_sae) / (ce_zero - ce_clean). Zeros leave many models worse than a guess without "
        "context, and what is better than that counts as recovered: see ce_recovered_unigram",
        "",
        "recovered, zeros",
        4,
    ),
    Column(
        "ce_recovered_mean",
        FLOAT,
        "prefix: (ce_mean - ce_sae) / (ce_mean - ce_clean)",
        "",
        "recovered, mean",
        4,
    ),
    Column(
        "ce_recovered_unigram",
        FLOAT,
        "prefix: (ce_unigram - ce_sae) / (ce_unigram - ce_clean): 1 is the untouched model, 0 a guess without context",
        "",
        "recovered, unigram",
        4,
    ),
    Column(
        "kl",
        FLOAT,
        "prefix: mean over the same predictions of KL(clean model || spliced model), in nats, float32 log-softmax",
        "nats",
        "KL",
        4,
    ),
    Column("dead", INT, "band: latents that never fire on the sample"),
    Column("dense", INT, "band: latents that fire on more than 10% of tokens"),
    Column(
        "bits_firing",
        FLOAT,
        "prefix: sum over latents of the binary entropy of firing, in bits a token (an upper bound: latents coded one "
        "by one)",
        "bits a token",
        digits=1,
    ),
    Column(
        "bits_values",
        FLOAT,
        "prefix: bits a token for the values, rounded to whole steps of sample.quantiser_step (at least one step), by "
        "one entropy code for each band",
        "bits a token",
        digits=1,
    ),
    Column("bits", FLOAT, "bits_firing + bits_values", "bits a token", "bits/token", 1),
    Column("fvu_quantised", FLOAT, "fvu with the rounded values", digits=4),
    Column("ce_quantised", FLOAT, "ce_sae with the rounded values", "nats", digits=3),
)
DEFINITIONS = {column.name: column.meaning for column in LEVELS.columns}
WITH_SINKS = "fvu_ordinary"
"""Shown where the sample has sinks; elsewhere it is `fvu`."""
INTERVAL = Column("fvu_interval", pa.string(), "where 95% of bootstrap draws of the documents lie", "", "FVU, 95%")
CE_SHOWN = ("ce_sae", "ce_lost", "ce_recovered_unigram", "ce_recovered", "kl")
SHOWN = ("level", "width", "l0", "fvu", "cosine", *CE_SHOWN, "dead", "dense", "bits")


@dataclass(frozen=True, kw_only=True)
class LevelRow:
    """The figures of one level, as `DEFINITIONS` says. None: does not apply to this source or sample."""

    level: int
    width: int
    band_width: int
    l0: float
    fvu: float
    ev: float
    ev_legacy: float | None
    cosine: float
    ce_clean: float | None = None
    ce_sae: float | None = None
    ce_zero: float | None = None
    ce_mean: float | None = None
    ce_recovered: float | None = None
    ce_recovered_mean: float | None = None
    ce_lost: float | None = None
    ce_unigram: float | None = None
    ce_recovered_unigram: float | None = None
    kl: float | None = None
    dead: int
    dense: int
    bits_firing: float
    bits_values: float
    bits: float
    fvu_quantised: float
    ce_quantised: float | None = None
    fvu_ordinary: float | None = None
    l0_ordinary: float | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a table was measured on.

    `n_tokens`: rows of activations, those of tokens that belong to a document. `n_predictions`: predictions that count
    in CE and KL, 0 without a language head. `rows`: which rows these are; `intervals`: what the intervals are of.
    `n_sinks`: rows of a norm above `sink_norm`, 10 × the median norm of the store's rows, or where there is no store of
    the first batch's. `notes`: what a reader must know, one sentence each.
    """

    n_tokens: int
    n_contexts: int
    n_predictions: int
    model: str
    hook_name: str
    quantiser_step: float | None
    n_sinks: int = 0
    sink_norm: float | None = None
    rows: str = ""
    intervals: str = ""
    notes: tuple[str, ...] = ()


@checked
@dataclass(frozen=True, kw_only=True)
class LevelTable:
    """One row a level, level 0 first. `intervals`: of every level, its figures' lowest and highest values in 95% of
    bootstrap draws of the documents; none where these are too few. `dead` has none: a draw can only raise it."""

    levels: tuple[LevelRow, ...]
    sample: Sample
    intervals: tuple[Mapping[str, tuple[float, float]], ...] = ()

    def records(self) -> list[dict[str, Any]]:
        """The rows as dicts."""
        return [to_dict(row) for row in self.levels]

    def frame(self) -> pd.DataFrame:
        """The rows as a data frame; a column that does not apply holds None."""
        import pandas as pd

        return pd.DataFrame(self.records())

    def as_json(self) -> dict[str, Any]:
        """``{"levels": [...], "intervals": [...], "sample": {...}, "definitions": {...}}``."""
        return {
            "levels": self.records(),
            "intervals": to_dict(self)["intervals"],
            "sample": to_dict(self.sample),
            "definitions": DEFINITIONS,
        }

    def write(self, path: Path | str) -> Path:
        """Write `as_json` to `path` (``results/levels.json`` of a run), whole or not at all, and return it."""
        write_json(Path(path), self.as_json())
        return Path(path)

    def shown(self) -> ShownTable:
        """One row a level, for the eye; dead and dense with their share of the band."""
        sample = self.sample
        names = list(self.columns(SHOWN))
        if self.intervals:
            names.insert(names.index("fvu") + 1, INTERVAL.name)
        where = " ".join(part for part in (sample.model, sample.hook_name) if part)
        return ShownTable.of(
            (*(column for column in LEVELS.columns if column.name not in OF_BAND), *OF_BAND.values(), INTERVAL),
            [
                {
                    **row,
                    INTERVAL.name: self.shown_interval("fvu", row["level"]),
                    **{name: _of_band(row, name) for name in OF_BAND},
                }
                for row in self.records()
            ],
            *names,
            title=f"What each level is worth: {sample.n_tokens:,} tokens" + (f" of {where}" if where else ""),
            notes=self._notes(),
        )

    def columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """`names`, and behind ``fvu`` the same on ordinary rows where the sample has sinks."""
        more = {"fvu": ("fvu", WITH_SINKS)} if self.sample.n_sinks else {}
        return tuple(shown for name in names for shown in more.get(name, (name,)))

    def __rich__(self) -> ShownTable:
        return self.shown()

    def _repr_html_(self) -> str:
        return self.shown().html()

    def shown_interval(self, name: str, level: int) -> str | None:
        """A figure's interval, for the eye; None where there is none."""
        own = self.intervals[level].get(name) if self.intervals else None
        return None if own is None else f"{own[0]:.4f} to {own[1]:.4f}"

    def about(self) -> list[str]:
        """Which rows the figures are of, and what the intervals are."""
        sample = self.sample
        return [*([f"Rows: {sample.rows}."] if sample.rows else []), *([sample.intervals] if sample.intervals else [])]

    def _notes(self) -> list[str]:
        last, sample = self.levels[-1], self.sample
        lines = ["FVU, CE and bits: the whole prefix. Dead and dense: the band a level adds."]
        lines += self.about()
        if last.ce_clean is not None:
            values = (
                ("clean", last.ce_clean),
                ("a unigram", last.ce_unigram),
                ("zeros", last.ce_zero),
                ("mean", last.ce_mean),
            )
            written = ", ".join(f"{name} {value:.3f}" for name, value in values if value is not None)
            lines.append(f"CE in nats over {sample.n_predictions:,} predictions: {written}.")
        if sample.quantiser_step is not None:
            lines.append(
                f"Values rounded to steps of {sample.quantiser_step:g} in bits/token; "
                f"FVU is then {last.fvu_quantised:.4f} at full width."
            )
        return [*lines, *self.sink_notes(), *sample.notes]

    def sink_notes(self) -> list[str]:
        """What a reader must know of rows whose norms rule the figures; nothing where there is none."""
        sample = self.sample
        if not sample.n_sinks:
            return []
        return [
            f"{sample.n_sinks:,} of {sample.n_tokens:,} rows ({sample.n_sinks / sample.n_tokens:.2%}) are sinks, of "
            f"a norm above {sample.sink_norm or 0:.4g} (10 x the median). FVU over all rows tells mostly how well "
            "these are reconstructed; FVU ordinary leaves them out."
        ]

    @classmethod
    def read(cls, path: Path | str) -> LevelTable:
        """The table `write` wrote; `EvaluationError` when there is none or it cannot be read."""
        content = read_json(Path(path), EvaluationError, hint="evaluate the run (msae eval)")
        try:
            return from_dict(cls, {name: value for name, value in content.items() if name != "definitions"})
        except ConfigError as error:
            raise EvaluationError(f"{path} is no table of levels ({error}): evaluate the run again") from error


OF_BAND = {
    name: Column(name, pa.string(), LEVELS[name].meaning + ", and their share of it") for name in ("dead", "dense")
}


def _of_band(row: Mapping[str, Any], name: str) -> str:
    return f"{row[name]:,} ({100 * row[name] / row['band_width']:.1f}%)"
