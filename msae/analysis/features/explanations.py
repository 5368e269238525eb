"""A sentence for every latent from token statistics, scored on documents it was not made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from msae.analysis.features.token_rules import STARTS, Score, TokenPlaces, fit_rule
from msae.analysis.features.token_words import kinds_of, quoted
from msae.analysis.measurement import Result
from msae.analysis.sample import Collected, Origin
from msae.analysis.tables import WORD, Column, Status, TableSpec, by_column, make_table
from msae.core.config import require
from msae.core.rng import numpy_stream

if TYPE_CHECKING:
    from rich.console import RenderableType

EXPLANATIONS = TableSpec(
    "explanations",
    "a latent: a sentence about its tokens, and how well it holds on other documents",
    Column("latent", pa.int32(), "number of the latent"),
    Column(
        "status",
        WORD,
        f"'{Status.OK}'; '{Status.FEW}': fires on fewer than `min_tokens` tokens of either half; "
        f"'{Status.NEVER}'; '{Status.NO_TEXT}'",
    ),
    Column(
        "explanation",
        pa.string(),
        "the tokens on which the latent fires, as a rule in words about what the model had read",
    ),
    Column("precision", pa.float32(), "on the other half: share of the rule's tokens on which the latent fires"),
    Column("recall", pa.float32(), "on the other half: share of the latent's tokens that meet the rule"),
    Column("f1", pa.float32(), "on the other half: 2 · precision · recall / (precision + recall)"),
    Column("fitted_f1", pa.float32(), "the same on the half the rule was fitted on"),
    Column("n_predicted", pa.int64(), "tokens of the other half that meet the rule"),
    Column("n_fires", pa.int64(), "tokens of the other half on which the latent fires"),
)


@dataclass(frozen=True, kw_only=True)
class Explanations:
    """A sentence for every latent about the tokens it fires on.

    Half of the documents give each latent's rule (`token_rules.fit_rule`), the others its score.

    `most_tokens`: that a condition may list. `least_gain`: of F1, for a second condition. `min_tokens`: of a latent, in
    each half. `seed`: of the halves.
    """

    name: ClassVar[str] = "explanations"
    tables: ClassVar[tuple[TableSpec, ...]] = (EXPLANATIONS,)

    most_tokens: int = 4
    least_gain: float = 0.03
    min_tokens: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.most_tokens >= 1, "most_tokens", self.most_tokens, "at least one token")
        require(0 <= self.least_gain <= 1, "least_gain", self.least_gain, "a difference of F1, 0 to 1")
        require(self.min_tokens >= 2, "min_tokens", self.min_tokens, "at least two tokens")

    def run(self, collected: Collected) -> Result:
        """Table ``explanations``: one row a latent. Without the tokens' text it says so in every row."""
        rows = self._rows(collected)
        table = make_table(EXPLANATIONS, by_column(EXPLANATIONS, rows))
        scores = [row["f1"] for row in rows if row["status"] == Status.OK]
        summary = {
            "explained": len(scores),
            "with_f1_above_half": sum(f1 > 0.5 for f1 in scores),
            "median_f1": float(np.median(scores)) if scores else None,
        }
        return Result(tables={"explanations": table}, summary=summary)

    def render(self, result: Result, tables: Mapping[str, pa.Table]) -> list[RenderableType]:
        """Nothing: a sentence a latent belongs to the latent."""
        return []

    def _rows(self, collected: Collected) -> list[dict[str, Any]]:
        codes = collected.codes
        silent = {latent: Status.NEVER for latent in np.flatnonzero(codes.counts == 0).tolist()}
        if collected.text is None:
            return [{"latent": latent, "status": silent.get(latent, Status.NO_TEXT)} for latent in range(codes.d_sae)]
        n_vocab = max(len(collected.text), int(collected.origin.token_id.max()) + 1)
        texts = [*collected.text.texts, *[""] * (n_vocab - len(collected.text))]
        words = list(map(quoted, texts))
        kinds = kinds_of([*texts, *[""] * len(STARTS)]).astype(np.float64)
        fitted = half_of_documents(collected.origin, self.seed)
        here, there = (TokenPlaces.of(collected.origin, half, n_vocab) for half in (fitted, ~fitted))
        number = np.where(fitted, fitted.cumsum(), (~fitted).cumsum()) - 1
        rows = []
        for latent in range(codes.d_sae):
            fires = codes.rows_of(latent)
            inside = fitted[fires]
            halves = number[fires[inside]], number[fires[~inside]]
            row: dict[str, Any] = {"latent": latent, "status": silent.get(latent, Status.FEW)}
            if min(map(len, halves)) >= self.min_tokens:
                rule = fit_rule(here, halves[0], kinds, most_tokens=self.most_tokens, least_gain=self.least_gain)
                if rule is not None:
                    row |= {
                        "status": Status.OK,
                        "explanation": rule.text(words),
                        "fitted_f1": here.score(rule, halves[0]).f1,
                    }
                    row |= _figures(there.score(rule, halves[1]))
            rows.append(row)
        return rows


def half_of_documents(origin: Origin, seed: int) -> Bool[np.ndarray, " rows"]:
    """True on the rows of half of the documents, drawn by `seed`; of a single document, on its first half."""
    documents = np.unique(origin.document)
    if len(documents) == 1:
        return np.arange(len(origin.document)) < len(origin.document) // 2
    numpy_stream(seed, "explanations").shuffle(documents)
    return np.isin(origin.document, documents[: len(documents) // 2])


def _figures(score: Score) -> dict[str, Any]:
    return {
        "precision": score.precision,
        "recall": score.recall,
        "f1": score.f1,
        "n_predicted": score.predicted,
        "n_fires": score.fires,
    }
