"""`bands`: the true quantile bands that examples are taken from, with the activations they reach from and to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from msae.analysis.features.ranked import Ranked
from msae.analysis.tables import Column, TableSpec

BANDS = TableSpec(
    "bands",
    "a latent and a quantile band of its activations",
    Column("latent", pa.int32(), "number of the latent; only latents that fire have rows"),
    Column("band", pa.int16(), "0 holds the weakest activations; only bands that hold any have a row"),
    Column("n", pa.int64(), "activations in the band"),
    Column("share", pa.float64(), "n over all nonzero activations of the latent"),
    Column("low", pa.float32(), "the smallest activation in the band"),
    Column("high", pa.float32(), "the largest activation in the band"),
)


def band_bounds(block: Ranked, bands: int) -> dict[str, np.ndarray]:
    """The columns of `BANDS` for a block of latents, by latent, then band."""
    n = block.counts[:, None]
    edges = n * np.arange(bands + 1) // bands
    first, stop = edges[:, :-1], edges[:, 1:]
    latent, band = np.nonzero(stop > first)
    begin = block.start[latent]
    size = (stop - first)[latent, band]
    return {
        "latent": latent + block.first,
        "band": band,
        "n": size,
        "share": size / block.counts[latent],
        "low": block.value[begin + first[latent, band]],
        "high": block.value[begin + stop[latent, band] - 1],
    }


def joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """The columns of several blocks, one after another."""
    return {column.name: np.concatenate([part[column.name] for part in parts]) for column in BANDS.columns}
