"""Encoding a sample block by block: only what fires leaves a block."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from msae.activations.store import ActivationStore
from msae.analysis.sample.code_table import CodeTable, CodeWriter
from msae.analysis.sample.origin import Rows
from msae.analysis.sample.pairing import evaluating
from msae.core.errors import EvaluationError, MismatchError
from msae.core.progress import bar
from msae.core.spec import require_same_source
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.codes import SparseCodes
from msae.sae.kernels.candidates import CandidateFinder

BLOCK_NUMBERS = 1 << 22
READ_ROWS = 1 << 13


@torch.no_grad()
def encode_all(
    sae: SparseAutoencoder,
    rows: Rows,
    n_rows: int,
    *,
    scratch: Path | None = None,
    progress: bool = False,
    force: bool = False,
) -> CodeTable:
    """The codes of the first `n_rows` rows. At most 2²² pre-activations (or one row's) are held at once.

    Raises `MismatchError` when the SAE was trained on another source (with `force`, warns) or another width, and
    `EvaluationError` when there is no row, a row is not finite, or not one latent fires.
    """
    _require_match(sae, rows, n_rows, force)
    writer, finder = CodeWriter(sae.d_sae, scratch), CandidateFinder(BLOCK_NUMBERS)
    with evaluating(sae), bar("encode", n_rows, shown=progress) as advance:
        sae.encode(rows.rows(0, 1).to(sae.device, sae.dtype))  # says at once if there is no threshold yet
        for start in range(0, n_rows, READ_ROWS):
            x = rows.rows(start, min(start + READ_ROWS, n_rows)).to(sae.device, sae.dtype)
            finite = torch.isfinite(x).all(dim=1)
            if not finite.all():
                first = start + int((~finite).nonzero()[0])
                raise EvaluationError(
                    f"there are NaN or infinite activations, the first in row {first}: harvest again, with the model "
                    "in float32 or bfloat16"
                )
            writer.append(encode_block(sae, x, finder))
            advance(len(x))
    codes = writer.finish()
    if len(codes) == 0:
        raise EvaluationError(
            f"not one latent fires on the {n_rows:,} rows: is the SAE of other activations, or unfinished?"
        )
    return codes


def encode_block(sae: SparseAutoencoder, x: Float[Tensor, "batch d_in"], finder: CandidateFinder) -> SparseCodes:
    """``sae.encode(x)`` of an SAE in `eval()` mode, without ever holding all pre-activations."""
    if not sae.encoder.one_product:
        return sae.encode(x)
    found = finder.selected(sae, x - sae.b_dec, sae.activation_fn.eval_plan())
    return SparseCodes(found.row, found.latent, found.pre, x.shape[0], sae.d_sae)


def _require_match(sae: SparseAutoencoder, rows: Rows, n_rows: int, force: bool) -> None:
    if n_rows == 0:
        raise EvaluationError("no rows were given: there is nothing to measure")
    if isinstance(rows, ActivationStore) and sae.source is not None:
        require_same_source(sae.source, rows.spec, what=f"the SAE and the store {rows.path}", force=force)
    width = rows.rows(0, 1).shape[1]
    if width != sae.d_in:
        raise MismatchError(f"the SAE reads d_in = {sae.d_in} numbers, the rows have {width}")
