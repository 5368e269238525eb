"""`logits`: the tokens that each latent's decoder direction promotes and suppresses, straight through the final norm's
gain and the unembedding; `logit_histograms`: how those of the whole vocabulary are spread.

The blocks between and the norm's scale are left out, so this says what a latent does directly, and in units that
compare within one latent only. The matrix is `TransformerLensSource.direct_unembedding`: W_dec diag(γ) W_U, through W_O
first for heads' outputs; where the hook's space does not lead into the residual stream there are no logits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.analysis.sample.token_text import TokenText
from msae.analysis.tables import WORD, Column, TableSpec, lists, words
from msae.core.errors import MismatchError

BLOCK_NUMBERS = 1 << 24

LOGITS = TableSpec(
    "logits",
    "a latent and a token that it promotes or suppresses",
    Column("latent", pa.int32(), "number of the latent"),
    Column("side", WORD, "'top' or 'bottom'"),
    Column("rank", pa.int16(), "0 is the largest (top) or the smallest (bottom)"),
    Column("token_id", pa.int32(), "the token"),
    Column("token", WORD, "its text; null without a tokenizer"),
    Column(
        "logit",
        pa.float32(),
        "decoder direction through the final norm's gain and the token's unembedding, the mean removed",
    ),
)

LOGIT_HISTOGRAMS = TableSpec(
    "logit_histograms",
    "a latent: its logits of all tokens, binned",
    Column("latent", pa.int32(), "number of the latent"),
    Column("low", pa.float32(), "lower edge of the first bin: the smallest logit"),
    Column("high", pa.float32(), "upper edge of the last bin: the largest logit"),
    Column("counts", pa.list_(pa.int64()), "tokens of the vocabulary in each of equally wide bins over [low, high]"),
)


@torch.no_grad()
def direct_logits(
    W_dec: Float[Tensor, "d_sae d_in"],
    unembedding: Float[Tensor, "d_hook vocab"],
    count: int,
    text: TokenText | None = None,
    *,
    n_bins: int = 40,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns of `LOGITS`, `count` tokens on either side, and of `LOGIT_HISTOGRAMS`.

    `unembedding`: from directions at the hook (d_hook = d_in) to logits. With `text`, only the columns of its tokens
    count: many models have more columns than tokens, filled up to a round number and never trained.

    Raises `MismatchError` when the widths differ.
    """
    if unembedding.shape[0] != W_dec.shape[1]:
        raise MismatchError(
            f"the unembedding reads {unembedding.shape[0]} numbers, the SAE's directions have {W_dec.shape[1]}: the "
            "hook is not on the residual stream"
        )
    columns = unembedding.shape[1]
    token_of = np.arange(columns) if text is None else np.flatnonzero(text.known[:columns])
    n_vocab = len(token_of)
    count = min(count, n_vocab)
    U = unembedding.to(W_dec.device, W_dec.dtype)
    if n_vocab < columns:
        U = U[:, torch.from_numpy(token_of).to(U.device)]
    ids: dict[bool, list[Tensor]] = {True: [], False: []}
    values: dict[bool, list[Tensor]] = {True: [], False: []}
    spread: list[tuple[Tensor, Tensor, Tensor]] = []
    for directions in W_dec.detach().split(max(1, BLOCK_NUMBERS // n_vocab)):
        logits = directions @ U
        logits -= logits.mean(1, keepdim=True)
        for largest in (True, False):
            found = logits.topk(count, dim=1, largest=largest)
            ids[largest].append(found.indices.cpu())
            values[largest].append(found.values.cpu())
        spread.append(histograms(logits, n_bins))
    token_id, logit = (
        torch.stack([torch.cat(x[True]), torch.cat(x[False])], dim=1).flatten().numpy() for x in (ids, values)
    )
    low, high, counts = (torch.cat(parts).cpu().numpy() for parts in zip(*spread, strict=True))
    texts = text.texts if text else []
    tokens = {
        "latent": np.repeat(np.arange(len(W_dec)), 2 * count),
        "side": words(["top", "bottom"], np.tile(np.repeat([0, 1], count), len(W_dec))),
        "rank": np.tile(np.arange(count), 2 * len(W_dec)),
        "token_id": token_of[token_id],
        "token": words(texts, token_of[token_id] if texts else np.full(len(token_id), -1)),
        "logit": logit,
    }
    return tokens, {
        "latent": np.arange(len(W_dec)),
        "low": low,
        "high": high,
        "counts": lists(counts.ravel(), np.full(len(W_dec), n_bins), pa.int64()),
    }


def histograms(
    values: Float[Tensor, "rows n"], n_bins: int
) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"], Int[Tensor, "rows bins"]]:
    """Each row's smallest and largest value, and how many lie in each of `n_bins` equally wide bins between them."""
    low, high = values.amin(1), values.amax(1)
    width = torch.where(high > low, high - low, 1.0)
    bins = ((values - low[:, None]) / width[:, None] * n_bins).long().clamp_(0, n_bins - 1)
    counts = torch.zeros(len(values), n_bins, dtype=torch.int64, device=values.device)
    return low, high, counts.scatter_add_(1, bins, torch.ones_like(bins))
