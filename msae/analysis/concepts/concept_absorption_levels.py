"""Absorption of labelled concepts level by level: means over the concepts of a family, and over all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from msae.analysis.concepts.concept_absorption_tables import ALL, DEFINITIONS, NO_LOGIT, THROUGH_THE_MODEL
from msae.analysis.concepts.labelled import Labelled
from msae.analysis.concepts.spelled import FEW_WORDS, Spelling
from msae.analysis.sample import CodeTable
from msae.analysis.tables import OK
from msae.core.means import mean, standard_error


def level_rows(labelled: Labelled, rows: list[dict], spelling: Spelling) -> Iterator[dict]:
    """Means over the concepts of a family, and over all."""
    l0 = _l0(labelled.codes, labelled.sae.prefix_widths, labelled.probes.labels.n_rows)
    families = [ALL, *dict.fromkeys(row["family"] for row in rows)]
    for level, family, of_children, definition in product(
        range(len(l0)), families, (False, True), (*DEFINITIONS, THROUGH_THE_MODEL)
    ):
        asked = [
            row
            for row in rows
            if (row["level"], row["child"] is not None, row["definition"]) == (level, of_children, definition)
            and family in (ALL, row["family"])
        ]
        if not asked:
            continue
        own = [row for row in asked if row["status"] == OK]
        yield {
            "level": level,
            "family": family,
            "of_children": of_children,
            "definition": definition,
            "status": OK if own else _together([row["status"] for row in asked], spelling),
            "concepts": len(own),
            **{
                name: mean([row[name] for row in own if row[name] is not None])
                for name in ("rate", "null_rate", "n_main")
            },
            "rate_error": standard_error([row["rate"] for row in own]),
            "n_main_error": standard_error([row["n_main"] for row in own]),
            "l0": l0[level],
        }


def _together(statuses: list[str], spelling: Spelling) -> str:
    """Why there is no mean. Of concepts of which some have a logit, those say it."""
    first = next((status for status in statuses if status != NO_LOGIT), NO_LOGIT)
    return f"{FEW_WORDS}: {spelling.said}" if first.startswith(FEW_WORDS) else first


def _l0(codes: CodeTable, widths: tuple[int, ...], n_rows: int) -> list[float]:
    latent = codes.latent[codes.codes_of(slice(0, n_rows))]
    return [float((latent < width).sum() / n_rows) for width in widths]
