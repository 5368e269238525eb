"""Texts of the sample, read at every level: what fires on each token, what is new there, what each level says next.

The texts are windows of the sample that begin with a line, wherever the sample has lines. `inside` is counted on all
windows looked at, which are evenly spaced; the dozen that are kept are chosen for what they show, and say so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from msae.activations.transformer_lens import TransformerLensSource
from msae.analysis.hierarchy.threads import NEW, Threads, threads
from msae.analysis.interventions.prompt import PromptReading, read_prompt
from msae.analysis.levels.lens import LevelLens, level_lens
from msae.analysis.measurement import Result
from msae.analysis.sample import Collected, Origin, TokenText
from msae.analysis.sample.code_table import evenly
from msae.analysis.tables import WORD, Column, TableSpec, by_column, make_table
from msae.core.errors import EvaluationError
from msae.core.progress import bar
from msae.core.rng import numpy_stream
from msae.sae.autoencoder import SparseAutoencoder

WINDOW, LOOKED_AT, KEPT = 40, 64, 12
"""Tokens a text; how many are looked at; how many are kept."""
SPLITS, MISSES, PLAIN = "features inside features", "a parent is missing", "any text"

NEST = TableSpec(
    "nest",
    "a token of a text that is read at every level",
    Column("text", pa.int16(), "number of the text"),
    Column(
        "why",
        WORD,
        f"what it was chosen for: '{SPLITS}': most latents with a parent that fires on the same token; '{MISSES}': "
        f"most pairs of a token and a child on it without the parent it has absorbed; '{PLAIN}': others, "
        "evenly spaced in the sample",
    ),
    Column("document", WORD, "name of the document"),
    Column("token_id", pa.int32(), "the token's id"),
    Column("token", WORD, "the token's text; a split character stands at the token that completes it"),
    Column("begins", pa.bool_(), "whether a context begins here, which does not see the tokens before"),
    Column("latents", pa.list_(pa.int32()), "latents that fire, the largest contribution first"),
    Column("contributions", pa.list_(pa.float32()), "norm of activation times decoder direction, of each"),
    Column(
        "losses",
        pa.list_(pa.float32()),
        "-log p(next token), in nats: with the decoder's bias alone in the activations' place, with the reconstruction "
        "of every level, and untouched; null where no token follows or the model predicts none",
    ),
    Column("choices", pa.list_(pa.string()), "the likeliest next token in each of these"),
    Column("right", pa.list_(pa.bool_()), "whether it is the token that follows"),
)

NEST_LEVELS = TableSpec(
    "nest_levels",
    "a level of latents that have a level before",
    Column("level", pa.int16(), "the level"),
    Column("firings", pa.int64(), "how often its latents fire, on the texts looked at"),
    Column("inside", pa.float32(), "share of these with a parent in the tree that fires on the same token", digits=3),
    Column("null_inside", pa.float32(), "the same with each text's tokens dealt out anew to parents", digits=3),
)

TABLES = (NEST, NEST_LEVELS)


@dataclass(frozen=True, kw_only=True)
class Kin:
    """What is known of latents across levels: the `parents` of each in the tree, and those it has `absorbed`."""

    parents: Mapping[int, Collection[int]]
    absorbed: Mapping[int, Collection[int]]

    @classmethod
    def of(cls, tree: pa.Table, absorption: pa.Table | None) -> Kin:
        """From the tables ``tree`` and ``absorption``."""
        absorbing = None if absorption is None else absorption.filter(absorption["absorbing"])
        return cls(parents=_by_child(tree), absorbed={} if absorbing is None else _by_child(absorbing))


@dataclass(frozen=True, kw_only=True)
class ReadText:
    """A text as an SAE reads it. `size`: ‖f·W_dec‖ of every firing, in the order of the codes."""

    reading: PromptReading
    size: Float[np.ndarray, " nonzero"]
    lens: LevelLens | None = None

    @property
    def fired(self) -> dict[tuple[int, int], float]:
        """What every latent contributes, by (token, latent)."""
        codes = self.reading.codes
        return dict(zip(zip(codes.row.tolist(), codes.latent.tolist(), strict=True), self.size.tolist(), strict=True))

    def rows(self, text: TokenText) -> list[dict[str, Any]]:
        """The rows of table ``nest`` about it, without what it was chosen for."""
        on: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
        for (token, latent), size in self.fired.items():
            on[token].append((-size, latent))
        rows = []
        for token, (token_id, shown) in enumerate(
            zip(self.reading.token_ids.tolist(), self.reading.texts, strict=True)
        ):
            found = sorted(on[token])
            rows.append(
                {
                    "token_id": token_id,
                    "token": shown,
                    "begins": token in self.reading.context_starts,
                    "latents": [latent for _, latent in found],
                    "contributions": [-size for size, _ in found],
                    **_said(self.lens, token, text),
                }
            )
        return rows


def read_at_every_level(
    source: TransformerLensSource,
    sae: SparseAutoencoder,
    text: str,
    *,
    lens: bool = True,
    most: int | None = None,
    force: bool = False,
) -> ReadText:
    """Read a text; with `lens`, what each level says of the next token as well, where the model predicts any.

    Raises what `read_prompt` raises.
    """
    reading = read_prompt(source, sae, text, most=most, force=force)
    norms = sae.W_dec.detach().norm(dim=1).float().cpu()
    size = (reading.codes.value.float().abs() * norms[reading.codes.latent]).numpy()
    seen = level_lens(source, sae, text, force=force) if lens and source.has_language_head else None
    return ReadText(reading=reading, size=size, lens=seen)


def measure_texts(
    collected: Collected, tree: pa.Table, absorption: pa.Table | None, *, progress: bool = False
) -> Result | None:
    """Tables ``nest`` and ``nest_levels`` of the sample's own model and text; None where there is no model."""
    source, text = collected.source, collected.text
    if text is None or not isinstance(source, TransformerLensSource):
        return None
    kin, sae = Kin.of(tree, absorption), collected.sae
    found = list(windows(collected.origin, text))
    looked_at = []
    with bar("read texts", len(found), shown=progress) as advance:
        for document, passage in found:
            if (read := _read(source, sae, passage)) is not None:
                looked_at.append((document, passage, read))
            advance(1)
    drawn = [threads(read.fired, kin.parents, kin.absorbed) for _, _, read in looked_at]
    rows: list[dict[str, Any]] = []
    for number, (place, why) in enumerate(chosen(drawn)):
        document, passage, read = looked_at[place]
        seen = level_lens(source, sae, passage, force=True) if source.has_language_head else None
        whole = replace(read, lens=seen)
        rows += [{"text": number, "why": why, "document": document, **row} for row in whole.rows(text)]
    levels = _inside([read for _, _, read in looked_at], drawn, kin, collected.level_of, collected.seed)
    tables = {
        NEST.name: make_table(NEST, by_column(NEST, rows)),
        NEST_LEVELS.name: make_table(NEST_LEVELS, by_column(NEST_LEVELS, levels)),
    }
    summary = {
        "texts_looked_at": len(looked_at),
        **{f"{name}_{row['level']}": row[name] for row in levels for name in ("inside", "null_inside")},
    }
    return Result(tables=tables, summary=summary)


def gains(losses: Sequence[float]) -> list[float]:
    """Nats that each level takes off the loss of the level before; the first level, off that of the bias alone.
    `losses`: of a token, as in table ``nest``."""
    return [before - after for before, after in pairwise(losses[:-1])]


def right_shares(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """The share of first choices that do follow, of the bias alone, every level and the model, over the rows of table
    ``nest`` that have a next token; empty where none has."""
    told = [row["right"] for row in rows if row["right"] is not None]
    return [sum(view) / len(told) for view in zip(*told, strict=True)]


def windows(origin: Origin, text: TokenText) -> Iterator[tuple[str, str]]:
    """Up to `LOOKED_AT` texts of `WINDOW` tokens, evenly spaced, each with the name of its document.

    They begin behind a line's end or where a passage does; where there are too few of these, anywhere.
    """
    begin, end = origin.passage
    n = len(begin)
    fits = end - np.arange(n) >= WINDOW
    ends_line = np.array(["\n" in shown for shown in text.texts])[origin.token_id]
    starts = np.concatenate([[True], ends_line[:-1]]) | (begin == np.arange(n))
    places = np.flatnonzero(fits & starts)
    if len(places) < LOOKED_AT:
        places = np.flatnonzero(fits)
    reached = 0
    for row in evenly(places, LOOKED_AT).tolist():
        if row >= reached:
            reached = row + WINDOW
            yield origin.names[origin.document[row]], "".join(text.passage(origin.token_id[row : row + WINDOW]))


def chosen(drawn: Sequence[Threads]) -> list[tuple[int, str]]:
    """Which texts are kept, and what for: a third each, of the last kind whatever is left."""
    inside = [sum(parent != NEW for parent in each.parent.values()) for each in drawn]
    missing = [len(each.holes) for each in drawn]
    found: dict[int, str] = {}
    for counts, why in ((inside, SPLITS), (missing, MISSES)):
        order = sorted(range(len(drawn)), key=lambda place: (-counts[place], place))
        for place in [place for place in order if counts[place] and place not in found][: KEPT // 3]:
            found[place] = why
    others = np.array([place for place in range(len(drawn)) if place not in found], np.int64)
    for place in evenly(others, KEPT - len(found)).tolist():
        found[place] = PLAIN
    return list(found.items())


def _read(source: TransformerLensSource, sae: SparseAutoencoder, passage: str) -> ReadText | None:
    try:
        return read_at_every_level(source, sae, passage, lens=False, force=True)
    except EvaluationError:  # nothing but special tokens
        return None


def _inside(
    texts: Sequence[ReadText], drawn: Sequence[Threads], kin: Kin, level_of: Int[np.ndarray, " d_sae"], seed: int
) -> list[dict[str, Any]]:
    """How often latents of each level but the first fire inside a parent, and how often were the tokens unrelated."""
    n_levels = int(level_of.max()) + 1
    # Within each text: two latents of one subject are no parent and child.
    stream, offset, firing, dealt = numpy_stream(seed, "nest/null"), 0, [], [np.empty(0, np.int64)]
    for read in texts:
        codes = read.reading.codes
        firing.append(np.stack([codes.row.numpy() + offset, codes.latent.numpy()]))
        dealt.append(stream.permutation(codes.n_rows) + offset)
        offset += codes.n_rows
    token, latent = np.concatenate(firing, axis=1) if firing else np.empty((2, 0), np.int64)
    elsewhere_of = np.concatenate(dealt)
    elsewhere: defaultdict[int, set[int]] = defaultdict(set)
    for place, other in zip(elsewhere_of[token].tolist(), latent.tolist(), strict=True):
        elsewhere[place].add(other)
    inside, by_chance = np.zeros(n_levels), np.zeros(n_levels)
    for each in drawn:
        for (_, other), parent in each.parent.items():
            inside[level_of[other]] += parent != NEW
    for place, other in zip(token.tolist(), latent.tolist(), strict=True):
        by_chance[level_of[other]] += any(parent in elsewhere[place] for parent in kin.parents.get(other, ()))
    firings = np.bincount(level_of[latent], minlength=n_levels)
    return [
        {
            "level": level,
            "firings": int(firings[level]),
            "inside": float(inside[level] / firings[level]) if firings[level] else None,
            "null_inside": float(by_chance[level] / firings[level]) if firings[level] else None,
        }
        for level in range(1, n_levels)
    ]


def _said(lens: LevelLens | None, token: int, text: TokenText) -> dict[str, Any]:
    if lens is None:
        return {"losses": None, "choices": None, "right": None}
    loss, choice = lens.loss[:, token], lens.choice[:, token].tolist()
    told = bool(np.isfinite(loss).all())
    return {
        "losses": loss.tolist() if told else None,
        "choices": [text.texts[one] if one < len(text) else "" for one in choice],
        "right": [one == int(lens.following[token]) for one in choice] if told else None,
    }


def _by_child(edges: pa.Table) -> dict[int, list[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for parent, child in zip(edges["parent"].to_pylist(), edges["child"].to_pylist(), strict=True):
        found[child].append(parent)
    return dict(found)
