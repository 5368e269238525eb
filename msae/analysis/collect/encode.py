"""Encoding a sample block by block: one product, one comparison, and only what fires leaves a block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from msae.analysis.collect.codes import CodeTable, CodeWriter
from msae.analysis.collect.origin import Rows
from msae.analysis.progress import bar
from msae.core.errors import EvaluationError
from msae.sae.activation_fns import BatchTopK, JumpReLU
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.codes import SparseCodes

BLOCK_NUMBERS = 1 << 22
READ_ROWS = 1 << 14


@torch.no_grad()
def encode_all(
    sae: SparseAutoencoder, rows: Rows, n_rows: int, *, scratch: Path | None = None, progress: bool = False
) -> CodeTable:
    """The codes of the first `n_rows` rows. At most 2²² pre-activations (or one row's) are held at once.

    Raises `EvaluationError` for rows that are not finite.
    """
    writer = CodeWriter(sae.d_sae, scratch)
    block = max(1, BLOCK_NUMBERS // sae.d_sae)
    with bar("encode", n_rows, shown=progress) as advance:
        for start in range(0, n_rows, READ_ROWS):
            x = rows.rows(start, min(start + READ_ROWS, n_rows)).to(sae.device, sae.dtype)
            if not torch.isfinite(x).all():
                raise EvaluationError(
                    f"there are NaN or infinite activations in rows {start} … {start + len(x) - 1}: harvest again, "
                    "with the model in float32 or bfloat16"
                )
            for part in x.split(block):
                writer.append(encode_block(sae, part))
            advance(len(x))
    return writer.finish()


def encode_block(sae: SparseAutoencoder, x: Float[Tensor, "batch d_in"]) -> SparseCodes:
    """``sae.encode(x)`` of an SAE in `eval()` mode, with fewer passes over the pre-activations."""
    if not isinstance(sae.activation_fn, BatchTopK | JumpReLU):
        return sae.encode(x)
    pre = torch.addmm(sae.b_enc, x - sae.b_dec, sae.W_enc)
    fires = pre > sae.threshold.clamp_min(0)
    if pre.device.type != "cpu":
        row, latent = fires.nonzero(as_tuple=True)
        return SparseCodes(row, latent, pre[row, latent], x.shape[0], sae.d_sae)
    flat = torch.from_numpy(np.flatnonzero(fires.numpy()))
    return SparseCodes(flat // sae.d_sae, flat % sae.d_sae, pre.view(-1)[flat], x.shape[0], sae.d_sae)
