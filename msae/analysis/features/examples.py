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
from msae.analysis.sample import CodeTable, Origin, TokenText
from msae.analysis.sample.code_table import ranges
from msae.analysis.sample.passages import PASSAGE, Passages
from msae.analysis.tables import Column, TableSpec, lists
from msae.core.config import require

TOP = -1

EXAMPLES = TableSpec(
    "examples",
    "a token a latent fires on, with context",
    Column("latent", pa.int32(), "number of the latent"),
    Column("band", pa.int16(), "-1: among the strongest; 0 … : the quantile band, 0 the weakest activations"),
    Column("rank", pa.int64(), "rank among the latent's nonzero activations; 0 is the strongest"),
    Column("value", pa.float32(), "activation"),
    *PASSAGE,
    Column("context_values", pa.list_(pa.float32()), "the latent's activation at each of them"),
)


@dataclass(frozen=True, kw_only=True)
class ExampleSettings:
    """How many examples of a latent. `reach`: tokens of context on either side."""

    top: int = 16
    bands: int = 5
    per_band: int = 4
    reach: int = 16

    def __post_init__(self) -> None:
        require(self.top >= 0, "top", self.top, "a count, 0 or more")
        require(self.bands >= 1, "bands", self.bands, "at least one quantile band")
        require(self.per_band >= 0, "per_band", self.per_band, "a count, 0 or more")
        require(0 <= self.reach < 1 << 14, "reach", self.reach, "a count of tokens, 0 or more")


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
    passages = Passages.of(origin, codes.row[picked.place].astype(np.int64), reach)
    return {
        "latent": picked.latent,
        "band": picked.band,
        "rank": picked.rank,
        "value": codes.value_by_latent[picked.place],
        **passages.columns(text),
        "context_values": lists(_context_values(picked, codes, passages, reach), passages.lengths, pa.float32()),
    }


def _context_values(picked: Picked, codes: CodeTable, passages: Passages, reach: int) -> Float[np.ndarray, " total"]:
    """The latent's activation at each row of context: its codes that lie near the example's in the column. As
    `Passages.values`, and faster where the places are at hand."""
    row, before, lengths = passages.row, passages.before, passages.lengths
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
