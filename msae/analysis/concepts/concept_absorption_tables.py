"""The tables of `concept_absorption`: what is counted as absorbed, and what each column says."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from msae.analysis.concepts.spelled import FEW_WORDS, NO_MODEL
from msae.analysis.tables import FEW, NEVER, OK, WORD, Column, lists

ALL = "all"
DEFINITIONS = ("saebench_full", "saebench_fraction", "probe_ablation", "main_silent")
THROUGH_THE_MODEL = "chanin_2409"
NO_LOGIT = "n/a: no logit of the model stands for the concept"

_MEANS = "; ".join(
    (
        "'saebench_full': the main latents are off, and one other carries at least 0.4 of the probe's projection",
        "'saebench_fraction': the share of it that at most three others carry, 0 below 0.4",
        "'probe_ablation': the main latents are off, and ablating one other lowers the probe's logit by 1.0 more than "
        "ablating any third",
        "'main_silent': the main latents are off",
        "'chanin_2409': as 'probe_ablation', with the model's own logit of a word's first letter when asked for it",
    )
)

CONCEPT_ABSORPTION = (
    Column("concept", pa.string(), "the concept whose latents should fire"),
    Column("child", pa.string(), "the concept below it whose tokens alone are counted; null: all tokens of `concept`"),
    Column("family", WORD, "the concept's family"),
    Column("level", pa.int16(), "the level whose prefix is looked at"),
    Column("definition", WORD, f"what counts as absorbed. {_MEANS}"),
    Column("status", WORD, f"'{OK}'; '{FEW}': on too few tokens does the probe find the concept; '{NEVER}': nothing of "
           f"the prefix fires. For 'chanin_2409' also '{FEW_WORDS}' that the model spells, '{NO_LOGIT}', '{NO_MODEL}', "
           "or why its tokenizer has no prompts"),
    Column("n_tokens", pa.int32(), "tokens looked at: of test documents, with the concept, found by the probe; evenly "
           "spaced if there are more than the setting `tokens`. For 'chanin_2409' words of the tokenizer's vocabulary "
           "that the model spells, found by the probe"),
    Column("absorbed", pa.float32(), "of these, absorbed (a sum of shares, for a fraction); null where not measured"),
    Column("rate", pa.float32(), "absorbed / n_tokens"),
    Column("rate_error", pa.float32(), "its standard error over resamples of the test documents (over words)"),
    Column("null_rate", pa.float32(), "the same with codes shifted within documents (with those of another word)"),
    Column("n_main", pa.int16(), "main latents of the concept at this level: more than one, and it is split"),
    Column("main", pa.list_(pa.int32()), "their numbers"),
    Column("main_f1", pa.float32(), "F1 of the sparse probe on them; where it is low, the level has no latents for it"),
    Column("absorber", pa.int32(), "the latent that absorbs most of the tokens fully absorbed (by 'saebench_full', or "
           "'chanin_2409' in its own rows)"),
    Column("absorber_share", pa.float32(), "its share of them"),
    Column("absorber_is_childs", pa.bool_(), "whether that is a main latent of the child; null without one"),
)  # fmt: skip

CONCEPT_ABSORPTION_LEVELS = (
    Column("level", pa.int16(), "the level whose prefix is looked at"),
    Column("family", WORD, f"the concepts averaged over; '{ALL}': every one"),
    Column("of_children", pa.bool_(), "whether over pairs of a concept and one below it, on the child's tokens"),
    Column("definition", WORD, f"what counts as absorbed. {_MEANS}"),
    Column(
        "status",
        WORD,
        f"'{OK}'; '{FEW}': no concept has enough tokens; for 'chanin_2409' as in "
        "`concept_absorption`, and how many words the model spells",
    ),
    Column("concepts", pa.int32(), "concepts (or pairs) averaged over"),
    Column("rate", pa.float32(), "mean rate"),
    Column("rate_error", pa.float32(), "its standard error over concepts; null below two"),
    Column("null_rate", pa.float32(), "mean rate with codes shifted within documents"),
    Column("n_main", pa.float32(), "mean number of main latents: 1, and no concept is split"),
    Column("n_main_error", pa.float32(), "its standard error over concepts; null below two"),
    Column("l0", pa.float32(), "latents of the prefix that fire on a labelled row, on average"),
)


def columns(rows: list[dict]) -> dict[str, object]:
    """Rows of `CONCEPT_ABSORPTION` by column."""
    lengths = np.array([len(row["main"]) for row in rows], dtype=np.int64)
    flat = np.concatenate([np.empty(0, np.int64), *(row["main"] for row in rows)])
    return {
        **{c.name: [row[c.name] for row in rows] for c in CONCEPT_ABSORPTION if c.name != "main"},
        "main": lists(flat, lengths, pa.int32()),
    }
