"""Labelled concepts as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.table import Table

from msae.analysis.concepts.concept_absorption_tables import ALL, DEFINITIONS, THROUGH_THE_MODEL
from msae.analysis.measurement import Result
from msae.analysis.tables import OK

NAMED = 8


def concepts_table(result: Result) -> Table:
    """One row a family: how many concepts there are, and at which level they are first separated."""
    rows = result.tables["concepts"].to_pylist()
    levels = sorted({row["level"] for row in result.tables["probes"].to_pylist()})
    title = "Concepts: the first level whose few latents tell a concept nearly as well as the activations do"
    table = _table(title, " ".join(filter(None, [str(result.summary["labelled"] or ""), _left_out(rows)])))
    for heading in ("concepts", "measured", "probe F1", "by chance", *(f"level {level}" for level in levels), "none"):
        table.add_column(heading, justify="left" if heading == "concepts" else "right")
    for family in dict.fromkeys(row["family"] for row in rows):
        own = [row for row in rows if row["family"] == family]
        ok = [row for row in own if row["status"] == OK]
        first = [row["first_level"] for row in ok]
        table.add_row(
            family,
            f"{len(ok)} of {len(own)}",
            _mean([row["probe_f1"] for row in ok]),
            _mean([row["probe_null_f1"] for row in ok]),
            *(str(first.count(level)) for level in levels),
            str(first.count(None)),
        )
    return table


def concept_absorption_table(result: Result) -> Table:
    """One row a level and family: splits, and the rate by each definition."""
    chance = result.summary["null_model"]
    title = "Absorption of labelled concepts, by definition: rate ± one standard error over concepts (by chance)"
    table = _table(title, f"By chance: {chance or 'not measured'}. {THROUGH_THE_MODEL}: {result.summary['spelling']}.")
    rows = result.tables["concept_absorption_levels"].to_pylist()
    measured = any(row["status"] == OK for row in rows if row["definition"] == THROUGH_THE_MODEL)
    definitions = (*DEFINITIONS, THROUGH_THE_MODEL) if measured else DEFINITIONS
    for heading in ("level", "concepts", "latents a concept", *definitions):
        table.add_column(heading, justify="left" if heading == "concepts" else "right")
    keys = dict.fromkeys((row["level"], row["family"], row["of_children"]) for row in rows if row["family"] != ALL)
    for level, family, of_children in keys:
        own = {
            row["definition"]: row
            for row in rows
            if (row["level"], row["family"], row["of_children"]) == (level, family, of_children)
        }
        any_row = next(iter(own.values()))
        table.add_row(
            str(level),
            f"{any_row['concepts']} {'pairs' if of_children else 'of'} {family}",
            _with_error(any_row["n_main"], any_row["n_main_error"], 2),
            *(
                f"{_with_error(own[name]['rate'], own[name]['rate_error'], 3)}{_by_chance(own[name]['null_rate'])}"
                for name in definitions
            ),
        )
    return table


def _table(title: str, caption: str) -> Table:
    return Table(title=title, caption=caption, title_justify="left", caption_justify="left", min_width=len(title))


def _left_out(rows: Sequence[dict]) -> str:
    parts = []
    for status in dict.fromkeys(row["status"] for row in rows if row["status"] != OK):
        names = [row["concept"] for row in rows if row["status"] == status]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        parts.append(f"Left out, {status}: {', '.join(names[:NAMED])}{more}.")
    return " ".join(parts)


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.2f}" if known else "n/a"


def _with_error(value: float | None, error: float | None, digits: int) -> str:
    if value is None:
        return "n/a"
    return f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if error is not None else "")


def _by_chance(value: float | None) -> str:
    return "" if value is None else f" ({value:.3f})"
