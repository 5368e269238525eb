"""The tables of `concept_absorption`: what is counted as absorbed, what each column says, and means level by level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from msae.analysis.rendering import ShownTable, cell, written
from msae.analysis.tables import WORD, Column, Status, TableSpec, lists
from msae.core.means import mean, standard_error

if TYPE_CHECKING:
    from msae.analysis.concepts.labelled import Labelled
    from msae.analysis.concepts.spelled import Spelling
    from msae.analysis.measurement import Result

ALL = "all"
MAIN_SILENT = "main_silent"
DEFINITIONS = ("saebench_full", "saebench_fraction", "probe_ablation", MAIN_SILENT)
THROUGH_THE_MODEL = "chanin_2409"
NO_WORDS: Mapping[str, int | None] = {"n_tried": None, "n_spelled": None}

_MEANS = "; ".join(
    (
        "'saebench_full': the main latents are off, and one other carries at least 0.4 of the probe's projection",
        "'saebench_fraction': the share of it that at most three others carry, 0 below 0.4",
        "'probe_ablation': the main latents are off, and ablating one other lowers the probe's logit by 1.0 more than "
        "ablating any third",
        "'main_silent': the main latents are off",
        "'chanin_2409': as 'probe_ablation', with the model's own logit of a word's first letter as it spells it",
    )
)

CONCEPT_ABSORPTION = TableSpec(
    "concept_absorption",
    "a concept or one below it, a level, a definition",
    Column("concept", pa.string(), "the concept whose latents should fire"),
    Column("child", pa.string(), "the concept below it whose tokens alone are counted; null: all tokens of `concept`"),
    Column("family", WORD, "the concept's family"),
    Column("level", pa.int16(), "the level whose prefix is looked at"),
    Column("definition", WORD, f"what counts as absorbed. {_MEANS}"),
    Column("status", WORD, f"'{Status.OK}'; '{Status.FEW}': on too few tokens does the probe find the concept; "
           f"'{Status.NEVER}': nothing of the prefix fires. For 'chanin_2409' also '{Status.FEW_WORDS}' that the model "
           f"spells, '{Status.NO_LOGIT}', '{Status.NO_MODEL}' or '{Status.NO_PROMPTS}'"),
    Column("n_tokens", pa.int32(), "tokens looked at: of test documents, with the concept, found by the probe; evenly "
           "spaced if there are more than the setting `tokens`. For 'chanin_2409' words of the tokenizer's vocabulary "
           "that the model spells, found by the probe"),
    Column("n_tried", pa.int32(), "words of the letter that the model was prompted to spell; 'chanin_2409' alone"),
    Column("n_spelled", pa.int32(), "of these, words it spells"),
    Column("absorbed", pa.float32(), "of these, absorbed (a sum of shares, for a fraction); null where not measured"),
    Column("rate", pa.float32(), "absorbed / n_tokens"),
    Column("rate_error", pa.float32(), "its standard error over resamples of the test documents (over words)"),
    Column("null_rate", pa.float32(), "the rate by chance: the main latents as they are, the codes of all others "
           "shifted within documents (for 'chanin_2409' those of another word; for 'main_silent' the main latents are "
           "shifted)"),
    Column("n_main", pa.int16(), "main latents of the concept at this level: more than one, and it is split"),
    Column("main", pa.list_(pa.int32()), "their numbers"),
    Column("main_f1", pa.float32(), "F1 of the sparse probe on them; where it is low, the level has no latents for it"),
    Column("absorber", pa.int32(), "the latent that absorbs most of the tokens fully absorbed (by 'saebench_full', or "
           "'chanin_2409' in its own rows)"),
    Column("absorber_share", pa.float32(), "its share of them"),
    Column("absorber_is_childs", pa.bool_(), "whether that is a main latent of the child; null without one"),
)  # fmt: skip

CONCEPT_ABSORPTION_LEVELS = TableSpec(
    "concept_absorption_levels",
    "a level, a family of concepts and a definition",
    Column("level", pa.int16(), "the level whose prefix is looked at"),
    Column("family", WORD, f"the concepts averaged over; '{ALL}': every one"),
    Column("of_children", pa.bool_(), "whether over pairs of a concept and one below it, on the child's tokens"),
    Column("definition", WORD, f"what counts as absorbed. {_MEANS}"),
    Column(
        "status",
        WORD,
        f"'{Status.OK}'; '{Status.FEW}': no concept has enough tokens; for 'chanin_2409' as in `concept_absorption`",
    ),
    Column("concepts", pa.int32(), "concepts (or pairs) averaged over"),
    Column("n_tried", pa.int32(), "words that the model was prompted to spell; 'chanin_2409' alone"),
    Column("n_spelled", pa.int32(), "of these, words it spells"),
    Column("rate", pa.float32(), "mean rate", digits=3, error="rate_error"),
    Column("rate_error", pa.float32(), "its standard error over concepts; null below two"),
    Column("null_rate", pa.float32(), "mean rate by chance (see `concept_absorption`)"),
    Column(
        "n_main",
        pa.float32(),
        "mean number of main latents: 1, and no concept is split",
        heading="latents a concept",
        digits=2,
        error="n_main_error",
    ),
    Column("n_main_error", pa.float32(), "its standard error over concepts; null below two"),
    Column("l0", pa.float32(), "latents of the prefix that fire on a labelled row, on average"),
)


def shown_levels(result: Result) -> ShownTable:
    """One row a level and family: splits, and the rate by each definition."""
    chance = result.summary["null_model"]
    rows = result.tables["concept_absorption_levels"].to_pylist()
    measured = any(row["status"] == Status.OK for row in rows if row["definition"] == THROUGH_THE_MODEL)
    definitions = (*DEFINITIONS, THROUGH_THE_MODEL) if measured else DEFINITIONS
    found: dict[tuple, dict[str, Any]] = {}
    for row in rows:
        if row["family"] == ALL:
            continue
        own = found.setdefault((row["level"], row["family"], row["of_children"]), {**row})
        if row["definition"] == DEFINITIONS[0]:
            own["covers"] = f"{row['concepts']} {'pairs' if row['of_children'] else 'of'} {row['family']}"
        chance_rate = "" if row["null_rate"] is None else f" ({written(row['null_rate'], 3)})"
        own[row["definition"]] = cell(CONCEPT_ABSORPTION_LEVELS["rate"], row) + chance_rate
    columns = (
        CONCEPT_ABSORPTION_LEVELS["level"],
        Column("covers", pa.string(), "concepts averaged over", heading="concepts"),
        CONCEPT_ABSORPTION_LEVELS["n_main"],
        *(Column(name, pa.string(), "rate ± its standard error (by chance)", heading=name) for name in definitions),
    )
    title = "Absorption of labelled concepts, by definition: rate ± one standard error over concepts (by chance)"
    note = f"By chance: {chance or 'not measured'}. {THROUGH_THE_MODEL}: {result.summary['spelling']}."
    return ShownTable.of(columns, list(found.values()), title=title, notes=[note])


def columns(rows: list[dict]) -> dict[str, object]:
    """Rows of `CONCEPT_ABSORPTION` by column."""
    lengths = np.array([len(row["main"]) for row in rows], dtype=np.int64)
    flat = np.concatenate([np.empty(0, np.int64), *(row["main"] for row in rows)])
    return {
        **{c.name: [row[c.name] for row in rows] for c in CONCEPT_ABSORPTION.columns if c.name != "main"},
        "main": lists(flat, lengths, pa.int32()),
    }


def level_rows(labelled: Labelled, rows: list[dict], spelling: Spelling) -> Iterator[dict]:
    """Means over the concepts of a family, and over all."""
    n_rows = labelled.probes.labels.n_rows
    l0 = [labelled.codes.l0(width, n_rows) for width in labelled.sae.prefix_widths]
    families = [ALL, *dict.fromkeys(row["family"] for row in rows)]
    for level, family, of_children, definition in product(
        range(len(l0)), families, (False, True), (*DEFINITIONS, THROUGH_THE_MODEL)
    ):
        prompted = [
            row
            for row in rows
            if (row["level"], row["child"] is not None, row["definition"]) == (level, of_children, definition)
            and family in (ALL, row["family"])
        ]
        if not prompted:
            continue
        own = [row for row in prompted if row["status"] == Status.OK]
        yield {
            "level": level,
            "family": family,
            "of_children": of_children,
            "definition": definition,
            "status": Status.OK if own else _together([row["status"] for row in prompted]),
            "concepts": len(own),
            **(_words(spelling) if definition == THROUGH_THE_MODEL else NO_WORDS),
            **{
                name: mean([row[name] for row in own if row[name] is not None])
                for name in ("rate", "null_rate", "n_main")
            },
            "rate_error": standard_error([row["rate"] for row in own]),
            "n_main_error": standard_error([row["n_main"] for row in own]),
            "l0": l0[level],
        }


def _together(statuses: list[Status]) -> Status:
    """Why there is no mean. Of concepts of which some have a logit, those say it."""
    return next((status for status in statuses if status != Status.NO_LOGIT), Status.NO_LOGIT)


def _words(spelling: Spelling) -> Mapping[str, int | None]:
    return spelling.words.counts() if spelling.words else NO_WORDS
