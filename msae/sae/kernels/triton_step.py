"""The sparse step on a GPU: the entries and sums of `sparse`, by Triton's loops, without waiting for the device."""

from __future__ import annotations

import importlib.util
import os

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.base import StepResult
from msae.sae.kernels.candidates import Entries
from msae.sae.kernels.products import sorted_order
from msae.sae.kernels.sparse import Products, SparseKernel
from msae.sae.kernels.triton_guard import compared, verdict
from msae.sae.kernels.triton_select import DeferredFinder
from msae.sae.losses import Objective


class TritonKernel(SparseKernel):
    """Any activation function and nesting in float32 on a CUDA device. `block`: as of `SparseKernel`."""

    name = "triton"

    def __init__(self, block: int = 1 << 28) -> None:
        from msae.sae.kernels.triton_loops import gathered_sums, sampled_product

        super().__init__(block)
        self._deferred = DeferredFinder(block)
        self._products = Products(sampled=sampled_product, gathered=gathered_sums, order=sorted_order)
        self._auxk_block = block
        self._torch: SparseKernel | None = None

    @property
    def deferred(self) -> bool:  # type: ignore[override]
        """Whether it is Triton that makes the steps: torch, where it must take its place, waits for the device."""
        return self._torch is None

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

    def step(
        self,
        sae: SparseAutoencoder,
        x: Float[Tensor, "batch d_in"],
        objective: Objective,
        target: Float[Tensor, "_ _"] | None = None,
    ) -> StepResult:
        """See `Kernel.step`. The first on a device is compared with torch's; see `triton_guard`."""
        result = compared(self, sae, x, objective, target) if verdict(sae) is None else None
        if verdict(sae) is False and self._torch is None:
            self._torch = SparseKernel()
        if result is not None:
            return result
        if self._torch is not None:
            return self._torch.step(sae, x, objective, target)
        return super().step(sae, x, objective, target)

    def _select(self, sae: SparseAutoencoder, centred: Tensor) -> tuple[Entries, Bool[Tensor, ""]]:
        return self._deferred.selected(sae, centred)


def fits_triton(sae: SparseAutoencoder) -> bool:
    """Whether `TritonKernel` can work on `sae`: float32, and on a CUDA device unless Triton only interprets."""
    there = importlib.util.find_spec("triton") is not None
    runs = sae.device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"
    return there and runs and sae.dtype == torch.float32
