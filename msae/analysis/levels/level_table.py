"""`LevelTable`: what every level of an SAE is worth, with the sample it was measured on and what each figure means."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msae.core.config import from_dict, to_dict
from msae.core.errors import EvaluationError
from msae.core.files import write_json

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

DEFINITIONS = {
    "level": "0 is the smallest, outermost prefix of the latents",
    "width": "latents in the prefix: this level's and those of all levels before it",
    "band_width": "latents this level adds (its band)",
    "l0": "prefix: mean number of latents that fire on a token",
    "fvu": "prefix: sum |x - x_hat|^2 / sum |x - mean|^2, the mean over the whole sample",
    "ev": "1 - fvu",
    "ev_legacy": "prefix: mean over tokens of 1 - |x - x_hat|^2 / |x - mean|^2, the mean over each batch alone, "
    "as published SAEBench figures have it; depends on the batches",
    "cosine": "prefix: mean over tokens of cos(x, x_hat)",
    "ce_clean": "cross-entropy of the untouched model, in nats a prediction, over predictions made at a token of a "
    "document of the next token of the same document (never of its first token, nor at BOS or padding)",
    "ce_sae": "prefix: the same with x_hat in place of x at every token of a document; special positions keep theirs",
    "ce_zero": "the same with zeros in place of x",
    "ce_mean": "the same with the sample's mean in place of x",
    "ce_recovered": "prefix: (ce_zero - ce_sae) / (ce_zero - ce_clean)",
    "ce_recovered_mean": "prefix: (ce_mean - ce_sae) / (ce_mean - ce_clean)",
    "kl": "prefix: mean over the same predictions of KL(clean model || spliced model), in nats, float32 log-softmax",
    "dead": "band: latents that never fire on the sample",
    "dense": "band: latents that fire on more than 10% of tokens",
    "bits_firing": "prefix: sum over latents of the binary entropy of firing, in bits a token (an upper bound: "
    "latents coded one by one)",
    "bits_values": "prefix: bits a token for the values, rounded to whole steps of sample.quantiser_step (at least one "
    "step), by one entropy code for each band",
    "bits": "bits_firing + bits_values",
    "fvu_quantised": "fvu with the rounded values",
    "ce_quantised": "ce_sae with the rounded values",
}


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
    kl: float | None = None
    dead: int
    dense: int
    bits_firing: float
    bits_values: float
    bits: float
    fvu_quantised: float
    ce_quantised: float | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a table was measured on.

    `n_tokens`: rows of activations, those of tokens that belong to a document. `n_predictions`: predictions that count
    in CE and KL, 0 without a language head. `notes`: what a reader must know, one sentence each.
    """

    n_tokens: int
    n_contexts: int
    n_predictions: int
    model: str
    hook_name: str
    quantiser_step: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LevelTable:
    """One row a level, level 0 first."""

    levels: tuple[LevelRow, ...]
    sample: Sample

    def records(self) -> list[dict[str, Any]]:
        """The rows as dicts."""
        return [to_dict(row) for row in self.levels]

    def frame(self) -> pd.DataFrame:
        """The rows as a data frame; a column that does not apply holds None."""
        import pandas as pd

        return pd.DataFrame(self.records())

    def as_json(self) -> dict[str, Any]:
        """``{"levels": [...], "sample": {...}, "definitions": {...}}``."""
        return {"levels": self.records(), "sample": to_dict(self.sample), "definitions": DEFINITIONS}

    def write(self, path: Path | str) -> Path:
        """Write `as_json` to `path` (``results/levels.json`` of a run), whole or not at all, and return it."""
        write_json(Path(path), self.as_json())
        return Path(path)

    def __rich__(self) -> Table:
        from msae.analysis.levels.levels_display import levels_table

        return levels_table(self)

    def _repr_html_(self) -> str:
        from msae.analysis.levels.levels_display import levels_html

        return levels_html(self)

    @classmethod
    def read(cls, path: Path | str) -> LevelTable:
        """The table `write` wrote; `EvaluationError` when there is none or it cannot be read."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            levels = tuple(from_dict(LevelRow, row) for row in content["levels"])
            return cls(levels=levels, sample=from_dict(Sample, content["sample"]))
        except FileNotFoundError as error:
            raise EvaluationError(f"{path} does not exist: evaluate the run first (msae eval)") from error
        except (ValueError, KeyError, TypeError) as error:
            raise EvaluationError(f"{path} is no table of levels ({error}): evaluate the run again") from error
