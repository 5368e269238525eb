"""`features` and `histograms`: one row a latent, from all its activations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from msae.analysis.features.ranked import Ranked
from msae.analysis.sample.code_table import CodeTable
from msae.analysis.sample.origin import Origin
from msae.analysis.sample.token_text import TokenText
from msae.analysis.tables import WORD, Column, Status, TableSpec, lists, words

QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
TOP_TOKENS = 5

FEATURES = TableSpec(
    "features",
    "a latent: how often and how strongly it fires, and on what",
    Column("latent", pa.int32(), "number of the latent"),
    Column("level", pa.int16(), "level whose band the latent is in; 0 is the smallest prefix"),
    Column(
        "status",
        WORD,
        f"'{Status.OK}', '{Status.FEW}' (fires on fewer tokens than a statistic needs) or '{Status.NEVER}'",
    ),
    Column("n_tokens", pa.int64(), "tokens on which the latent fires"),
    Column("density", pa.float64(), "n_tokens over all tokens of the sample"),
    Column("mean", pa.float32(), "mean activation where it fires"),
    Column("max", pa.float32(), "largest activation"),
    *(Column(name, pa.float32(), f"{q:g} quantile of its nonzero activations") for name, q in QUANTILES.items()),
    Column("top_token_ids", pa.list_(pa.int32()), "tokens that make up most of its summed activation, the first most"),
    Column("top_tokens", pa.list_(pa.string()), "their text; empty without a tokenizer"),
    Column("top_token_shares", pa.list_(pa.float32()), "the share of the summed activation that each makes up"),
)

HISTOGRAMS = TableSpec(
    "histograms",
    "a latent: its activations, binned",
    Column("latent", pa.int32(), "number of the latent; only latents that fire have a row"),
    Column("max", pa.float32(), "upper edge of the last bin: the largest activation. The first bin begins at 0"),
    Column("counts", pa.list_(pa.int64()), "activations in each of equally wide bins over (0, max]"),
)


class FeatureStatistics:
    """Takes blocks of latents in and gives the columns of both tables."""

    def __init__(self, codes: CodeTable, origin: Origin, n_bins: int) -> None:
        self._codes, self._origin, self._n_bins = codes, origin, n_bins
        self.mean = np.full(codes.d_sae, np.nan)
        self.max = np.full(codes.d_sae, np.nan)
        self.quantiles = {name: np.full(codes.d_sae, np.nan) for name in QUANTILES}
        self.histogram = np.zeros((codes.d_sae, n_bins), dtype=np.int64)
        self._tokens: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def update(self, block: Ranked) -> None:
        """Take a block of latents in."""
        here, some = slice(block.first, block.stop), block.counts > 0
        local = block.local
        sums = np.bincount(local, weights=block.value, minlength=len(some))
        self.mean[here][some] = sums[some] / block.counts[some]
        self.max[here][some] = block.value[block.start[1:][some] - 1]
        for name, q in QUANTILES.items():
            self.quantiles[name][here] = block.quantile(q)
        self.histogram[here] = _histogram(block, local, self.max[here], self._n_bins)
        self._tokens.append(_top_tokens(block, local, sums, self._origin.token_id))

    def features(self, level_of: np.ndarray, min_tokens: int, text: TokenText | None) -> dict[str, Any]:
        """The columns of `FEATURES`."""
        codes = self._codes
        status = np.select([codes.counts == 0, codes.counts < min_tokens], [2, 1], default=0)
        n_top, ids, shares = (np.concatenate(parts) for parts in zip(*self._tokens, strict=True))
        texts = [text.texts[token_id] for token_id in ids] if text else []
        return {
            "latent": np.arange(codes.d_sae),
            "level": level_of,
            "status": words([Status.OK, Status.FEW, Status.NEVER], status),
            "n_tokens": codes.counts,
            "density": codes.density,
            "mean": self.mean,
            "max": self.max,
            **self.quantiles,
            "top_token_ids": lists(ids, n_top, pa.int32()),
            "top_tokens": lists(texts, n_top if text else np.zeros_like(n_top), pa.string()),
            "top_token_shares": lists(shares, n_top, pa.float32()),
        }

    def histograms(self) -> Mapping[str, Any]:
        """The columns of `HISTOGRAMS`."""
        alive = np.flatnonzero(self._codes.counts)
        counts = lists(self.histogram[alive].ravel(), np.full(len(alive), self._n_bins), pa.int64())
        return {"latent": alive, "max": self.max[alive], "counts": counts}


def _histogram(
    block: Ranked, local: np.ndarray, largest: Float[np.ndarray, " latents"], n_bins: int
) -> Int[np.ndarray, "latents bins"]:
    bins = np.ceil(block.value / largest[local] * n_bins).astype(np.int64) - 1
    flat = local * n_bins + bins.clip(0, n_bins - 1)
    return np.bincount(flat, minlength=len(largest) * n_bins).reshape(-1, n_bins)


def _top_tokens(
    block: Ranked, local: np.ndarray, sums: np.ndarray, token_id: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each latent how many tokens are given, and then for all of them the ids and their shares."""
    n_vocab = int(token_id.max(initial=0)) + 1
    keys, which = np.unique(local * n_vocab + token_id[block.row], return_inverse=True)
    weight = np.bincount(which, weights=block.value, minlength=len(keys))
    latent = keys // n_vocab
    order = np.lexsort((-weight, latent))
    latent = latent[order]
    begins = np.searchsorted(latent, np.arange(len(sums)))
    keep = np.arange(len(latent)) - begins[latent] < TOP_TOKENS
    n_top = np.bincount(latent[keep], minlength=len(sums))
    chosen = order[keep]
    return n_top, keys[chosen] % n_vocab, weight[chosen] / sums[latent[keep]]
