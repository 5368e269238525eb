"""What a reconstruction leaves of a row, seen along a latent's direction: ⟨x − x̂, W_dec[j]⟩ for given (row, j)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from msae.analysis.sample import Collected
from msae.sae.autoencoder import decode_rows
from msae.sae.kernels.products import sampled_product

READ_ROWS = 1 << 13


def residual_projections(
    collected: Collected, row: Int[np.ndarray, " queries"], latent: Int[np.ndarray, " queries"]
) -> tuple[Float[np.ndarray, " queries"], Float[np.ndarray, " queries"]]:
    """⟨x − x̂, W_dec[latent]⟩ and ‖x − x̂‖² at each query, x̂ from all latents; unit directions.

    One pass over the rows given, in blocks of 2¹³; codes are decoded, never encoded again.
    """
    projection, error = (np.empty(len(row), np.float32) for _ in range(2))
    order = np.argsort(row, kind="stable")
    ordered = row[order]
    W_dec, b_dec = collected.sae.W_dec.detach().cpu().float(), collected.sae.b_dec.detach().cpu().float()
    for start in range(0, collected.codes.n_rows, READ_ROWS):
        stop = min(start + READ_ROWS, collected.codes.n_rows)
        wanted = order[slice(*np.searchsorted(ordered, [start, stop]))]
        if len(wanted) == 0:
            continue
        needed, which = np.unique(row[wanted], return_inverse=True)
        codes = collected.codes.sparse_at(needed)
        x = collected.rows.rows(start, stop)[torch.from_numpy(needed - start)].float()
        residual = x - b_dec - decode_rows(W_dec, codes)
        target = torch.from_numpy(latent[wanted].astype(np.int64))
        projection[wanted] = sampled_product(residual, collected.directions, torch.from_numpy(which), target).numpy()
        error[wanted] = residual.square().sum(1)[torch.from_numpy(which)].numpy()
    return projection, error
