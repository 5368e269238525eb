"""Which level first separates which concept: probes on the activations, and k-sparse ones on every level's codes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from msae.analysis.concepts.labelled import Labelled
from msae.analysis.concepts.probes.activation_probes import ActivationProbe
from msae.analysis.concepts.probes.code_probes import LevelProbes, ScoredProbe
from msae.analysis.measurement import Figure, Result
from msae.analysis.rendering import ShownTable
from msae.analysis.tables import WORD, Column, Status, TableSpec, lists, make_table, sentence
from msae.core.means import mean

if TYPE_CHECKING:
    from rich.console import RenderableType

NAMED = 8
"""Concepts named of those left out."""

CONCEPTS = TableSpec(
    "concepts",
    "a labelled concept",
    Column("concept", pa.string(), "the concept"),
    Column("family", WORD, "the concepts it is averaged with", heading="concepts"),
    Column("parent", pa.string(), "a concept that holds wherever this one does; null: none is known"),
    Column("within", WORD, "the tokens among which it is distinguished from the rest"),
    Column(
        "status",
        WORD,
        f"'{Status.OK}'; '{Status.FEW}': shown, or not shown, by too few tokens or documents; '{Status.WEAK}': the F1 "
        "of the probe on the activations is not above the setting `least_f1`. Only the first are measured further",
    ),
    Column("n_tokens", pa.int64(), "tokens that show it"),
    Column("share", pa.float32(), "of the tokens of `within`"),
    Column("n_documents", pa.int32(), "documents with such a token"),
    Column("n_test", pa.int64(), "of its tokens, those in test documents, on which all F1 are measured"),
    Column("probe_f1", pa.float32(), "F1 of a linear probe on the activations", "", "probe F1", 2),
    Column("probe_f1_error", pa.float32(), "its standard error over resamples of the test documents"),
    Column("probe_precision", pa.float32(), "its precision"),
    Column("probe_recall", pa.float32(), "its recall"),
    Column("probe_null_f1", pa.float32(), "F1 of a probe on labels shifted within documents", "", "by chance", 2),
    Column(
        "level_f1",
        pa.list_(pa.float32()),
        "of each level, the F1 on test documents of its sparse probe that is "
        "best on validation documents; null: it never fires",
    ),
    Column("level_k", pa.list_(pa.int16()), "the number of latents of that probe"),
    Column(
        "first_level",
        pa.int16(),
        "the first level that separates it: whose sparse probe of `level_f1` has at least the setting `separated` of "
        "the F1 of the probe on the activations; null: none does",
    ),
)

PROBES = TableSpec(
    "probes",
    "a concept, a level, a number of latents",
    Column("concept", pa.string(), "the concept"),
    Column("family", WORD, "its family"),
    Column("level", pa.int16(), "the level whose prefix is probed"),
    Column("k", pa.int16(), "number of latents; null where the level never fires"),
    Column("status", WORD, f"'{Status.OK}', or '{Status.NEVER}': nothing of the prefix fires on these tokens"),
    Column("f1", pa.float32(), "F1 on test documents"),
    Column("f1_error", pa.float32(), "its standard error over resamples of the test documents"),
    Column("precision", pa.float32(), "precision"),
    Column("recall", pa.float32(), "recall"),
    Column("null_f1", pa.float32(), "F1 of k latents chosen and fitted for labels shifted within documents"),
    Column("latents", pa.list_(pa.int32()), "the latents, largest weight in the L1 probe first"),
    Column("weights", pa.list_(pa.float32()), "their weights in the sparse probe"),
    Column("bias", pa.float32(), "its bias: the concept is predicted where the sum is positive"),
    Column(
        "n_main",
        pa.int16(),
        "main latents of the concept at this level: k grows as long as it gains `gain` of F1 on validation documents",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Probing:
    """Which level has latents for which labelled concept.

    Its settings are those that the probes on the activations were made with (`ProbeSettings`).
    """

    name: ClassVar[str] = "probes"
    tables: ClassVar[tuple[TableSpec, ...]] = (CONCEPTS, PROBES)

    def run(self, labelled: Labelled) -> Result:
        """Tables ``concepts`` (a concept) and ``probes`` (a concept, a level and a k)."""
        probes = labelled.probes
        of_concept: dict[str, list[LevelProbes]] = defaultdict(list)
        for level in labelled.level_probes:
            of_concept[level.concept.name].append(level)
        first = {name: _first_level(levels, labelled) for name, levels in of_concept.items()}
        status = [probe.status for probe in probes.probes]
        summary: dict[str, Figure] = {
            "concepts": len(probes.probes),
            "concepts_measured": status.count(Status.OK),
            "concepts_with_too_few_tokens": status.count(Status.FEW),
            "concepts_whose_probe_is_too_weak": status.count(Status.WEAK),
            **{
                f"concepts_first_separated_at_level_{level}": sum(found == level for found in first.values())
                for level in range(labelled.sae.n_levels)
            },
            "concepts_never_separated": sum(found is None for found in first.values()),
            "n_tokens": probes.labels.n_rows,
            "labelled": " ".join(probes.labels.notes) or None,
            "null_model": f"labels: {labelled.null_model}" if probes.settings.null else None,
        }
        about = {**summary, "settings": probes.settings}
        return Result(
            tables={
                "concepts": make_table(CONCEPTS, _concept_columns(labelled, of_concept, first), about),
                "probes": make_table(PROBES, _probe_columns(labelled.level_probes), about),
            },
            summary=summary,
        )

    def render(self, result: Result, tables: Mapping[str, pa.Table]) -> list[RenderableType]:
        """One row a family: how many concepts there are, and at which level they are first separated."""
        rows = result.tables["concepts"].to_pylist()
        levels = sorted({row["level"] for row in result.tables["probes"].to_pylist()})
        title = "Concepts: the first level whose few latents tell a concept nearly as well as the activations do"
        notes = [*filter(None, [str(result.summary["labelled"] or "")]), *_left_out(rows)]
        shown = []
        for family in dict.fromkeys(row["family"] for row in rows):
            own = [row for row in rows if row["family"] == family]
            ok = [row for row in own if row["status"] == Status.OK]
            first = [row["first_level"] for row in ok]
            shown.append(
                {
                    "family": family,
                    "measured": f"{len(ok)} of {len(own)}",
                    "probe_f1": mean([row["probe_f1"] for row in ok]),
                    "probe_null_f1": mean([f1 for row in ok if (f1 := row["probe_null_f1"]) is not None]),
                    **{f"level {level}": first.count(level) for level in levels},
                    "none": first.count(None),
                }
            )
        first_at = [
            Column(f"level {level}", pa.int32(), f"concepts that level {level} separates first") for level in levels
        ]
        columns = (
            CONCEPTS["family"],
            Column("measured", pa.string(), "concepts measured, of those labelled"),
            CONCEPTS["probe_f1"],
            CONCEPTS["probe_null_f1"],
            *first_at,
            Column("none", pa.int32(), "concepts that no level separates"),
        )
        return [ShownTable.of(columns, shown, title=title, notes=notes)]


def _left_out(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for status in dict.fromkeys(row["status"] for row in rows if row["status"] != Status.OK):
        names = [row["concept"] for row in rows if row["status"] == status]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"Left out, {sentence(status)}: {', '.join(names[:NAMED])}{more}."


def _first_level(levels: list[LevelProbes], labelled: Labelled) -> int | None:
    (probe,) = (probe for probe in labelled.probes.usable if probe.concept == levels[0].concept)
    assert probe.score is not None  # a usable one has a score
    enough = labelled.probes.settings.separated * probe.score.f1
    return next((level.level for level in levels if level.best and level.best.score.f1 >= enough), None)


def _concept_columns(
    labelled: Labelled, of_concept: dict[str, list[LevelProbes]], first: dict[str, int | None]
) -> dict[str, object]:
    probes, rows = labelled.probes.probes, labelled.probes.labels.rows
    levels = [of_concept.get(probe.concept.name, []) for probe in probes]
    best = [level.best for own in levels for level in own]
    lengths = np.array([len(own) for own in levels], dtype=np.int64)
    ks = [None if b is None else len(b.probe.latents) for b in best]
    within = [len(rows[probe.concept.within]) for probe in probes]
    return {
        "concept": [probe.concept.name for probe in probes],
        "family": [probe.concept.family for probe in probes],
        "parent": [probe.concept.parent for probe in probes],
        "within": [probe.concept.within for probe in probes],
        "status": [probe.status for probe in probes],
        "n_tokens": [probe.n_tokens for probe in probes],
        "share": [probe.n_tokens / n if n else None for probe, n in zip(probes, within, strict=True)],
        "n_documents": [probe.n_documents for probe in probes],
        "n_test": [probe.n_test for probe in probes],
        "probe_f1": [_of(probe, "f1") for probe in probes],
        "probe_f1_error": [_of(probe, "error") for probe in probes],
        "probe_precision": [_of(probe, "precision") for probe in probes],
        "probe_recall": [_of(probe, "recall") for probe in probes],
        "probe_null_f1": [probe.null.f1 if probe.null else None for probe in probes],
        "level_f1": lists(np.array([np.nan if b is None else b.score.f1 for b in best]), lengths, pa.float32()),
        "level_k": lists(pa.array(ks, pa.int16()), lengths, pa.int16()),
        "first_level": [first.get(probe.concept.name) for probe in probes],
    }


def _of(probe: ActivationProbe, name: str) -> float | None:
    return getattr(probe.score, name) if probe.score else None


def _probe_columns(levels: tuple[LevelProbes, ...]) -> dict[str, object]:
    flat: list[tuple[LevelProbes, int | None, ScoredProbe | None]] = []
    for level in levels:
        flat += [(level, k, scored) for k, scored in level.by_k.items()] or [(level, None, None)]
    found = [scored.probe if scored else None for _, _, scored in flat]
    lengths = np.array([len(probe.latents) if probe else 0 for probe in found], dtype=np.int64)
    latents = np.concatenate([np.empty(0, np.int64), *(probe.latents for probe in found if probe)])
    weights = np.concatenate([np.empty(0), *(probe.weight for probe in found if probe)])
    return {
        "concept": [level.concept.name for level, _, _ in flat],
        "family": [level.concept.family for level, _, _ in flat],
        "level": [level.level for level, _, _ in flat],
        "k": [k for _, k, _ in flat],
        "status": [level.status for level, _, _ in flat],
        "f1": [scored.score.f1 if scored else None for _, _, scored in flat],
        "f1_error": [scored.score.error if scored else None for _, _, scored in flat],
        "precision": [scored.score.precision if scored else None for _, _, scored in flat],
        "recall": [scored.score.recall if scored else None for _, _, scored in flat],
        "null_f1": [scored.null.f1 if scored and scored.null else None for _, _, scored in flat],
        "latents": lists(latents, lengths, pa.int32()),
        "weights": lists(weights, lengths, pa.float32()),
        "bias": [probe.bias if probe else None for probe in found],
        "n_main": [len(level.main) if scored else None for level, _, scored in flat],
    }
