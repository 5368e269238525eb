"""Kernels: one step's losses and gradients. `reference` is dense and obviously right; the others must equal it."""

from __future__ import annotations

from msae.core.config import require
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.base import Kernel, StepResult
from msae.sae.kernels.reference import ReferenceKernel
from msae.sae.kernels.sparse import SparseKernel


def make_kernel(name: str, sae: SparseAutoencoder) -> Kernel:
    """The kernel called `name`; ``auto`` picks the fastest for the SAE's device and activation function."""
    require(name in ("auto", "reference", "sparse"), "kernel", name, "'auto', 'reference' or 'sparse'")
    if name == "reference":
        return ReferenceKernel()
    return SparseKernel()


__all__ = ["Kernel", "ReferenceKernel", "SparseKernel", "StepResult", "make_kernel"]
