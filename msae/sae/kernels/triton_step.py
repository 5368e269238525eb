"""The sparse step on a GPU: the same entries and sums as `sparse`, made by Triton's loops.

The encoder's product is made in bf16 with float32 sums, a tile at a time, and only candidates leave the tile. What
passes is computed again from the float32 weights, so the result is float32's (`search` has the bound).
"""

from __future__ import annotations

import importlib.util
import os

import torch
from jaxtyping import Float
from torch import Tensor

from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.candidates import CandidateFinder
from msae.sae.kernels.search import BF16_PRODUCT, FLOAT32, PlainSearch, Search
from msae.sae.kernels.sparse import Products, SparseKernel

ROOM_A_ROW = 512


class TritonKernel(SparseKernel):
    """Any activation function and nesting in float32 on a CUDA device. `block`: as of `SparseKernel`."""

    name = "triton"

    def __init__(self, block: int = 1 << 28) -> None:
        from msae.sae.kernels.triton_loops import gathered_sums, sampled_product

        self._finder = CandidateFinder(block, tile_search)
        self._products = Products(sampled=sampled_product, gathered=gathered_sums)


class TileSearch:
    """Blocks screened in bf16, tile by tile; `floor` is 0-d."""

    def __init__(self, sae: SparseAutoencoder, centred: Float[Tensor, "batch d_in"], floor: Float[Tensor, ""]) -> None:
        self.sae, self.centred, self.floor = sae, centred.detach(), floor
        # Tensor cores may cut off where IEEE would round, which doubles the error of a sum.
        self._row_slack = (BF16_PRODUCT + 2 * sae.d_in * FLOAT32) * self.centred.norm(dim=1)
        self.n_passed = 0

    def block(self, columns: slice) -> tuple[Tensor, Tensor, Tensor]:
        """See `Search.block`."""
        from msae.sae.kernels.triton_loops import pick, sampled_product

        W, b = self.sae.W_enc.T[columns].detach(), self.sae.b_enc[columns].detach()
        slack = (self._row_slack, W.norm(dim=1), 8 * FLOAT32 * b.abs())
        entry = pick(self.centred, W, b, *slack, self.floor, ROOM_A_ROW * len(self.centred))
        self.n_passed += len(entry)
        row, latent = entry // len(W), entry % len(W)
        pre = sampled_product(self.centred, W, row, latent) + b[latent]
        keep = pre > self.floor
        return row[keep], latent[keep], pre[keep]


def tile_search(sae: SparseAutoencoder, centred: Float[Tensor, "batch d_in"], floor: Tensor) -> Search:
    """`TileSearch` where there is one floor for all, `PlainSearch` where each latent has its own."""
    return TileSearch(sae, centred, floor) if floor.ndim == 0 else PlainSearch(sae, centred, floor)


def fits_triton(sae: SparseAutoencoder) -> bool:
    """Whether `TritonKernel` can work on `sae`: float32, and on a CUDA device unless Triton only interprets."""
    there = importlib.util.find_spec("triton") is not None
    runs = sae.device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"
    return there and runs and sae.dtype == torch.float32
