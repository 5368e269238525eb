"""The sparse step on a GPU: the entries and sums of `sparse`, by Triton's loops, without waiting for the device."""

from __future__ import annotations

import importlib.util
import os

import torch
from jaxtyping import Bool
from torch import Tensor

from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.candidates import Entries
from msae.sae.kernels.products import sorted_order
from msae.sae.kernels.sparse import Products, SparseKernel
from msae.sae.kernels.triton_select import DeferredFinder


class TritonKernel(SparseKernel):
    """Any activation function and nesting in float32 on a CUDA device. `block`: as of `SparseKernel`."""

    name = "triton"
    deferred = True

    def __init__(self, block: int = 1 << 28) -> None:
        from msae.sae.kernels.triton_loops import gathered_sums, sampled_product

        self._deferred = DeferredFinder(block)
        self._products = Products(sampled=sampled_product, gathered=gathered_sums, order=sorted_order)
        self._auxk_block = block

    @classmethod
    def needs(cls, sae: SparseAutoencoder) -> str | None:
        """float32 on a CUDA device, or Triton's interpreter."""
        if fits_triton(sae):
            return super().needs(sae)
        return "float32 on a CUDA device, with triton installed"

    @classmethod
    def is_for(cls, sae: SparseAutoencoder) -> bool:
        """A CUDA device: interpreted it is slow."""
        return sae.W_dec.is_cuda

    def _select(self, sae: SparseAutoencoder, centred: Tensor) -> tuple[Entries, Bool[Tensor, ""]]:
        return self._deferred.selected(sae, centred)


def fits_triton(sae: SparseAutoencoder) -> bool:
    """Whether `TritonKernel` can work on `sae`: float32, and on a CUDA device unless Triton only interprets."""
    there = importlib.util.find_spec("triton") is not None
    runs = sae.device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"
    return there and runs and sae.dtype == torch.float32
