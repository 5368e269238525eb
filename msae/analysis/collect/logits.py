"""`logits`: the tokens that each latent's decoder direction speaks for and against, straight through the unembedding.

The final norm and the blocks between are left out, so this says what a latent does directly, and in units that compare
within one latent only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor

from msae.analysis.collect.token_text import TokenText
from msae.analysis.tables import WORD, Column, words
from msae.core.errors import MismatchError

BLOCK_NUMBERS = 1 << 24

LOGITS = (
    Column("latent", pa.int32(), "number of the latent"),
    Column("side", WORD, "'top' or 'bottom'"),
    Column("rank", pa.int16(), "0 is the largest (top) or the smallest (bottom)"),
    Column("token_id", pa.int32(), "the token"),
    Column("token", WORD, "its text; null without a tokenizer"),
    Column("logit", pa.float32(), "decoder direction times the token's column of the unembedding, the mean removed"),
)


@torch.no_grad()
def direct_logits(
    W_dec: Float[Tensor, "d_sae d_in"],
    unembedding: Float[Tensor, "d_model vocab"],
    count: int,
    text: TokenText | None = None,
) -> dict[str, Any]:
    """The columns of `LOGITS`, `count` tokens on either side. `MismatchError` when the widths differ."""
    if unembedding.shape[0] != W_dec.shape[1]:
        raise MismatchError(
            f"the unembedding reads {unembedding.shape[0]} numbers, the SAE's directions have {W_dec.shape[1]}: the "
            "hook is not on the residual stream"
        )
    n_vocab = unembedding.shape[1]
    count = min(count, n_vocab)
    U = unembedding.to(W_dec.device, W_dec.dtype)
    U = U - U.mean(1, keepdim=True)
    ids: dict[bool, list[Tensor]] = {True: [], False: []}
    values: dict[bool, list[Tensor]] = {True: [], False: []}
    for directions in W_dec.detach().split(max(1, BLOCK_NUMBERS // n_vocab)):
        logits = directions @ U
        for largest in (True, False):
            found = logits.topk(count, dim=1, largest=largest)
            ids[largest].append(found.indices.cpu())
            values[largest].append(found.values.cpu())
    token_id, logit = (
        torch.stack([torch.cat(x[True]), torch.cat(x[False])], dim=1).flatten().numpy() for x in (ids, values)
    )
    texts = text.texts if text else []
    return {
        "latent": np.repeat(np.arange(len(W_dec)), 2 * count),
        "side": words(["top", "bottom"], np.tile(np.repeat([0, 1], count), len(W_dec))),
        "rank": np.tile(np.arange(count), 2 * len(W_dec)),
        "token_id": token_id,
        "token": words(texts, np.where(token_id < len(texts), token_id, -1)),
        "logit": logit,
    }
