"""Absorption of labelled concepts at every level, by the published definitions.

On the tokens of test documents that show a concept and on which the probe on the activations says so. Of a concept with
known children (keyword, of which ``def`` is one) the same is measured on each child's tokens: where the latents of
the parent are off on them, and another carries the parent's direction, the child has absorbed it.

The null model shifts the codes of all other latents within documents; the token, the probe and the codes of the main
latents stay as they are. (Of ``main_silent``, which looks at the main latents alone, it shifts those.)

``chanin_2409`` is measured for first letters, on words that the model spells when prompted to: see `spelled`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int

from msae.analysis.concepts.absorbed import TokenCodes, ablation, saebench_fraction, saebench_full, silent
from msae.analysis.concepts.concept_absorption_tables import (
    ALL,
    CONCEPT_ABSORPTION,
    CONCEPT_ABSORPTION_LEVELS,
    DEFINITIONS,
    MAIN_SILENT,
    NO_WORDS,
    THROUGH_THE_MODEL,
    columns,
    level_rows,
    shown_levels,
)
from msae.analysis.concepts.labelled import Labelled
from msae.analysis.concepts.probes.activation_probes import ActivationProbe
from msae.analysis.concepts.probes.code_probes import LevelProbes
from msae.analysis.concepts.probes.probe_scores import Documents
from msae.analysis.concepts.spelled import Spelling, spell_words
from msae.analysis.measurement import Figure, Result
from msae.analysis.sample.code_table import evenly
from msae.analysis.tables import Status, TableSpec, by_column, make_table
from msae.core.config import require
from msae.core.means import standard_error

if TYPE_CHECKING:
    from rich.console import RenderableType

READ_ROWS = 1 << 13
NULL_MODEL = "codes of all but the main latents: {}"


@dataclass(frozen=True, kw_only=True)
class ConceptAbsorption:
    """How often a labelled concept's main latents are silent where it occurs and another latent stands in for them.

    `tokens`: looked at of a concept, or of a child's, at most. `min_tokens`: below which no rate is given. `words`:
    of each letter that the model spells, at most (0: the model is left out).
    """

    name: ClassVar[str] = "concept_absorption"
    tables: ClassVar[tuple[TableSpec, ...]] = (CONCEPT_ABSORPTION, CONCEPT_ABSORPTION_LEVELS)

    tokens: int = 2_000
    min_tokens: int = 10
    words: int = 20

    def __post_init__(self) -> None:
        for name in ("tokens", "min_tokens"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least one")
        require(self.words >= 0, "words", self.words, "a number of words, or 0 to ask the model for none")

    def run(self, labelled: Labelled) -> Result:
        """Tables ``concept_absorption`` (a concept, a level and a definition) and ``concept_absorption_levels``."""
        spells = any(probe.concept.letter for probe in labelled.probes.usable)
        spelling = spell_words(labelled, most=self.words) if spells else Spelling()
        rows = [row for case in self._cases(labelled) for row in self._measured(labelled, case, spelling)]
        levels = list(level_rows(labelled, rows, spelling))
        overall = [row for row in levels if row["family"] == ALL and not row["of_children"]]
        summary: dict[str, Figure] = {
            **{f"{row['definition']}_level_{row['level']}": row["rate"] for row in overall},
            **{f"n_main_level_{row['level']}": row["n_main"] for row in overall if row["definition"] == DEFINITIONS[0]},
            "concepts": len({row["concept"] for row in rows}),
            "pairs_of_parent_and_child": len({(row["concept"], row["child"]) for row in rows if row["child"]}),
            "null_model": NULL_MODEL.format(labelled.null_model) if labelled.probes.settings.null else None,
            "spelling": spelling.sentence if spells else Status.NO_LOGIT.sentence,
        }
        about = {**summary, "settings": self, "probe_settings": labelled.probes.settings}
        by_level = by_column(CONCEPT_ABSORPTION_LEVELS, levels)
        return Result(
            tables={
                self.name: make_table(CONCEPT_ABSORPTION, columns(rows), about),
                f"{self.name}_levels": make_table(CONCEPT_ABSORPTION_LEVELS, by_level, about),
            },
            summary=summary,
        )

    def render(self, result: Result, tables: Mapping[str, pa.Table]) -> list[RenderableType]:
        """One row a level and family: splits, and the rate by each definition."""
        return [shown_levels(result)]

    def _cases(self, labelled: Labelled) -> list[_Case]:
        """Every usable concept, and every usable concept with one below it."""
        labels = labelled.probes.labels
        out = []
        for probe in labelled.probes.usable:
            assert probe.hits is not None  # a usable one has them
            out.append(_Case(probe=probe, child=None, rows=evenly(probe.hits, self.tokens)))
            for child in labels.children(probe.concept.name):
                own = np.intersect1d(probe.hits, labels.rows[child.name], assume_unique=True)
                out.append(_Case(probe=probe, child=child.name, rows=evenly(own, self.tokens)))
        projections = _projections(labelled, out)
        return [replace(case, projection=own) for case, own in zip(out, projections, strict=True)]

    def _measured(self, labelled: Labelled, case: _Case, spelling: Spelling) -> Iterator[dict]:
        """A row for every level and definition."""
        main = {(level.concept.name, level.level): level for level in labelled.level_probes}
        assert case.probe.weight is not None
        W_dec, weight = labelled.directions, case.probe.weight.double().numpy()
        along = W_dec @ weight
        cosine = along / np.linalg.norm(weight)
        tables = [labelled.codes, *([labelled.null_codes] if labelled.probes.settings.null else [])]
        codes = [TokenCodes.of(table, case.rows) for table in tables]
        document = labelled.probes.document[case.rows]
        for level, width in enumerate(labelled.sae.prefix_widths):
            own = main[case.probe.concept.name, level]
            parts = [part.below(width) for part in codes]
            nulls = [part.with_own(parts[0], own.main) for part in parts[1:]]
            found = [_absorbed(part, cosine, along, case.projection, own.main) for part in (parts[0], *nulls)]
            absorber = _absorber(*found[0].absorbers)
            childs = main.get((case.child or "", level))
            status = (
                own.status
                if own.status != Status.OK
                else Status.OK
                if len(case.rows) >= self.min_tokens
                else Status.FEW
            )
            row = {
                "concept": case.probe.concept.name,
                "child": case.child,
                "family": case.probe.concept.family,
                "level": level,
                "n_tokens": len(case.rows),
                **NO_WORDS,
                "n_main": len(own.main),
                "main": own.main,
                "main_f1": own.main_f1,
                "absorber": absorber[0],
                "absorber_share": absorber[1],
                "absorber_is_childs": None if childs is None or absorber[0] is None else absorber[0] in childs.main,
            }
            for definition in DEFINITIONS:
                values = [absorbed.by_definition[definition] for absorbed in found]
                if definition == MAIN_SILENT:
                    values = [silent(part, own.main).astype(float) for part in parts]
                rates = _rates(values, document, labelled.probes.documents, known=status == Status.OK)
                yield row | rates | {"definition": definition, "status": status}
            yield (
                row | {"definition": THROUGH_THE_MODEL} | self._through_the_model(labelled, case, own, cosine, spelling)
            )

    def _through_the_model(
        self, labelled: Labelled, case: _Case, own: LevelProbes, cosine: np.ndarray, spelling: Spelling
    ) -> dict:
        """What the row of `THROUGH_THE_MODEL` says."""
        none = _NO_RATES | {"n_tokens": 0, "absorber": None, "absorber_share": None, "absorber_is_childs": None}
        letter, words = case.probe.concept.letter, spelling.words
        if letter is None:
            return none | {"status": Status.NO_LOGIT}
        if words is None or own.status != Status.OK:
            return none | {"status": spelling.status if words is None else own.status}
        counts = words.counts(letter)
        if not words.enough or counts["n_spelled"] < self.min_tokens:
            return none | counts | {"status": Status.FEW_WORDS}
        none |= counts
        assert case.probe.weight is not None and case.probe.bias is not None
        found = words.found_by(case.probe.weight, case.probe.bias, letter)
        if len(found) < self.min_tokens:
            return none | {"status": Status.FEW, "n_tokens": len(found)}
        absorbed, top = words.absorbed(found, own.level, cosine, own.main)
        absorber, share = _absorber(absorbed, top)
        rates: dict[str, float | None] = {
            "absorbed": float(absorbed.sum()),
            "rate": float(absorbed.mean()),
            "rate_error": standard_error(absorbed.astype(float).tolist()),
        }
        if labelled.probes.settings.null:
            rates["null_rate"] = float(words.absorbed(found, own.level, cosine, own.main, null=True)[0].mean())
        return (
            none | rates | {"status": Status.OK, "n_tokens": len(found), "absorber": absorber, "absorber_share": share}
        )


@dataclass(frozen=True, kw_only=True)
class _Case:
    """Tokens on which a probe rightly finds a concept (`child`: those of a concept below it), and ⟨x, d⟩ on each."""

    probe: ActivationProbe
    child: str | None
    rows: Int[np.ndarray, " tokens"]
    projection: Float[np.ndarray, " tokens"] = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, kw_only=True)
class _Absorbed:
    """How much of each token is absorbed, by definition; and those fully absorbed, with the latents that do it."""

    by_definition: dict[str, Float[np.ndarray, " tokens"]]
    absorbers: tuple[Bool[np.ndarray, " tokens"], Int[np.ndarray, " tokens"]]


def _absorbed(
    codes: TokenCodes, cosine: np.ndarray, along: np.ndarray, projection: np.ndarray, main: np.ndarray
) -> _Absorbed:
    full, top = saebench_full(codes, cosine, projection, main)
    by_definition = {
        "saebench_full": full,
        "saebench_fraction": saebench_fraction(codes, cosine, projection, main),
        "probe_ablation": ablation(codes, cosine, -codes.along(along), main)[0],
        MAIN_SILENT: silent(codes, main),
    }
    return _Absorbed(
        by_definition={name: values.astype(float) for name, values in by_definition.items()}, absorbers=(full, top)
    )


def _absorber(full: np.ndarray, top: np.ndarray) -> tuple[int | None, float | None]:
    if not full.any():
        return None, None
    latents, counts = np.unique(top[full], return_counts=True)
    return int(latents[counts.argmax()]), float(counts.max() / counts.sum())


def _rates(
    values: list[np.ndarray], document: np.ndarray, documents: Documents, known: bool
) -> dict[str, float | None]:
    if not known:
        return _NO_RATES
    size = len(documents.is_test)
    parts, wholes = np.bincount(document, values[0], minlength=size), np.bincount(document, minlength=size)
    return {
        "absorbed": float(values[0].sum()),
        "rate": float(values[0].mean()),
        "rate_error": documents.error(parts, wholes),
        "null_rate": float(values[1].mean()) if len(values) > 1 else None,
    }


_NO_RATES: dict[str, float | None] = {"absorbed": None, "rate": None, "rate_error": None, "null_rate": None}


def _projections(labelled: Labelled, cases: list[_Case]) -> list[Float[np.ndarray, " tokens"]]:
    """⟨x, d⟩ of every case's tokens, d the probe's unit direction; one pass over the rows."""
    out = [np.empty(len(case.rows)) for case in cases]
    n_rows = labelled.probes.labels.n_rows
    for start in range(0, n_rows, READ_ROWS):
        stop = min(start + READ_ROWS, n_rows)
        parts = [slice(*np.searchsorted(case.rows, [start, stop])) for case in cases]
        if all(part.start == part.stop for part in parts):
            continue
        x = labelled.rows.rows(start, stop)
        for case, part, own in zip(cases, parts, out, strict=True):
            if part.start < part.stop and case.probe.weight is not None:
                weight = case.probe.weight
                rows = x[torch.from_numpy(case.rows[part] - start)]
                own[part] = (rows @ (weight / weight.norm())).numpy()
    return out
