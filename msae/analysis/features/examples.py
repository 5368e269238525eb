"""`examples`: the strongest activations of every latent, and some of each true quantile band, with their contexts.

Band q of Q holds the activations of ranks ⌊q n / Q⌋ … ⌊(q + 1) n / Q⌋ − 1 among the latent's n nonzero activations,
weakest first: every band has the same number of activations. Examples of a band are evenly spaced in rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from msae.analysis.features.ranked import Ranked
from msae.analysis.sample.code_table import CodeTable, ranges
from msae.analysis.sample.collect_settings import ExampleSettings
from msae.analysis.sample.origin import Origin
from msae.analysis.sample.token_text import TokenText
from msae.analysis.tables import WORD, Column, lists, words

TOP = -1

EXAMPLES = (
    Column("latent", pa.int32(), "number of the latent"),
    Column("band", pa.int16(), "-1: among the strongest; 0 … : the quantile band, 0 the weakest activations"),
    Column("rank", pa.int64(), "rank among the latent's nonzero activations; 0 is the strongest"),
    Column("value", pa.float32(), "activation"),
    Column("row", pa.int64(), "row of the sample"),
    Column("token_id", pa.int32(), "the token's id"),
    Column("token", WORD, "the token's text, whole characters; null without a tokenizer"),
    Column("document", WORD, "name of the document"),
    Column("offset", pa.int32(), "tokens before it in the document"),
    Column("position", pa.int16(), "where the token stands in the context lists"),
    Column("context_ids", pa.list_(pa.int32()), "the tokens around it, of the same document, without gaps"),
    Column("context_tokens", pa.list_(WORD), "their text; a split character stands at the token that completes it"),
    Column("context_values", pa.list_(pa.float32()), "the latent's activation at each of them"),
)


@dataclass(frozen=True, kw_only=True)
class Picked:
    """Chosen codes: their latent, band, rank from the top, and place in `CodeTable.row`."""

    latent: Int[np.ndarray, " n"]
    band: Int[np.ndarray, " n"]
    rank: Int[np.ndarray, " n"]
    place: Int[np.ndarray, " n"]


def pick(block: Ranked, settings: ExampleSettings) -> Picked:
    """The examples of a block of latents, the strongest first, then band by band from the strongest."""
    n = block.counts
    groups = [(TOP, *_spaced(n - np.minimum(n, settings.top), n, settings.top))]
    for band in reversed(range(settings.bands)):
        low, high = n * band // settings.bands, n * (band + 1) // settings.bands
        groups.append((band, *_spaced(low, high, settings.per_band)))
    latent = np.concatenate([local for _, local, _ in groups])
    rising = np.concatenate([rank for _, _, rank in groups])
    bands = np.concatenate([np.full(len(local), band) for band, local, _ in groups])
    group = np.repeat(np.arange(len(groups)), [len(local) for _, local, _ in groups])
    order = np.lexsort((-rising, group, latent))
    latent, rising = latent[order], rising[order]
    return Picked(
        latent=latent + block.first,
        band=bands[order],
        rank=n[latent] - 1 - rising,
        place=block.place[block.start[latent] + rising],
    )


def _spaced(low: np.ndarray, high: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each [low, high) at most `count` whole numbers, evenly spaced, as (which interval, number)."""
    size = high - low
    taken = np.minimum(size, count)
    which = np.repeat(np.arange(len(low)), taken)
    nth = ranges(np.zeros_like(taken), taken)
    return which, low[which] + ((2 * nth + 1) * size[which]) // (2 * np.maximum(taken, 1)[which])


def example_columns(
    picked: Picked, codes: CodeTable, origin: Origin, text: TokenText | None, reach: int
) -> dict[str, Any]:
    """The columns of `EXAMPLES`."""
    row = codes.row[picked.place].astype(np.int64)
    before, lengths, around = context_rows(row, origin, reach)
    token_id = origin.token_id[row]
    context_ids = origin.token_id[around]
    tokens, context_tokens = context_texts(token_id, context_ids, before, lengths, text)
    return {
        "latent": picked.latent,
        "band": picked.band,
        "rank": picked.rank,
        "value": codes.value_by_latent[picked.place],
        "row": row,
        "token_id": token_id,
        "token": tokens,
        "document": words(origin.names, origin.document[row]),
        "offset": origin.offset[row],
        "position": before,
        "context_ids": lists(context_ids, lengths, pa.int32()),
        "context_tokens": lists(context_tokens, lengths, WORD),
        "context_values": lists(_context_values(picked, codes, row, before, lengths, reach), lengths, pa.float32()),
    }


def context_rows(
    row: Int[np.ndarray, " n"], origin: Origin, reach: int
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Int[np.ndarray, " total"]]:
    """How many rows of context precede each row, how many its context has, and all those rows one after another."""
    begin, end = origin.passage
    first = np.maximum(begin[row], row - reach)
    last = np.minimum(end[row], row + reach + 1)
    return row - first, last - first, ranges(first, last - first)


def context_texts(
    token_id: np.ndarray, context_ids: np.ndarray, before: np.ndarray, lengths: np.ndarray, text: TokenText | None
) -> tuple[pa.DictionaryArray, pa.DictionaryArray]:
    """The text of each example's token and of its context; a token with part of a character gets the whole one."""
    if text is None:
        return _no_words(len(token_id)), _no_words(len(context_ids))
    table = dict.fromkeys(text.texts)
    number = {word: index for index, word in enumerate(table)}
    of_id = np.array([number[word] for word in text.texts], dtype=np.int32)
    own, context = of_id[token_id], of_id[context_ids]
    start = np.cumsum(lengths) - lengths
    split = np.add.reduceat(text.has_partial(context_ids), start) > 0 if len(start) else np.empty(0, bool)
    cut = text.has_partial(token_id)
    for example in np.flatnonzero(split):
        span = slice(start[example], start[example] + lengths[example])
        passage = text.passage(context_ids[span])
        context[span] = [number.setdefault(word, len(number)) for word in passage]
        if cut[example]:
            whole = next((word for word in passage[before[example] :] if word), "")
            own[example] = number.setdefault(whole, len(number))
    return words(list(number), own), words(list(number), context)


def _no_words(n: int) -> pa.DictionaryArray:
    return words([], np.full(n, -1, dtype=np.int32))


def _context_values(
    picked: Picked, codes: CodeTable, row: np.ndarray, before: np.ndarray, lengths: np.ndarray, reach: int
) -> Float[np.ndarray, " total"]:
    """The latent's activation at each row of context: its codes that lie near the example's in the column."""
    out = np.zeros(int(lengths.sum()), dtype=np.float32)
    middle = np.cumsum(lengths) - lengths + before
    after = lengths - before
    begin, end = codes.latent_start[picked.latent], codes.latent_start[picked.latent + 1]
    for step in range(-reach, reach + 1):
        place = picked.place + step
        there = np.flatnonzero((place >= begin) & (place < end))
        distance = codes.row[place[there]] - row[there]
        near = (distance >= -before[there]) & (distance < after[there])
        there, distance = there[near], distance[near]
        out[middle[there] + distance] = codes.value_by_latent[place[there]]
    return out


__all__ = ["EXAMPLES", "TOP", "Picked", "context_rows", "context_texts", "example_columns", "pick"]
