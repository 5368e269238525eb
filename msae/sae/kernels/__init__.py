"""Kernels: one step's losses and gradients. `reference` is dense and obviously right; the others must equal it."""

from __future__ import annotations

from msae.core.config import require
from msae.sae.activation_fns import BatchTopK, TopK
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.base import Kernel, StepResult
from msae.sae.kernels.fused import FusedKernel
from msae.sae.kernels.products import on_compiled_path
from msae.sae.kernels.reference import ReferenceKernel
from msae.sae.kernels.sparse import SparseKernel
from msae.sae.kernels.triton_step import TritonKernel, fits_triton

KERNELS = ("auto", "reference", "sparse", "fused", "triton")


def make_kernel(name: str, sae: SparseAutoencoder, block: int | None = None) -> Kernel:
    """The kernel called `name`; ``auto`` picks the fastest for the SAE's device, dtype and activation function.

    `block`: the most pre-activations it holds at once (`reference` holds them all); None leaves that to the kernel.
    """
    require(name in KERNELS, "kernel", name, f"one of {KERNELS}")
    if name == "reference":
        return ReferenceKernel()
    sizes = {} if block is None else {"block": block}
    fits = on_compiled_path(sae.W_dec) and isinstance(sae.activation_fn, BatchTopK | TopK)
    if name == "fused":
        require(fits, "kernel", name, "float32 on a CPU with numba, and BatchTopK or TopK")
    if name == "triton":
        require(fits_triton(sae), "kernel", name, "float32 on a CUDA device, with triton installed")
    if name == "triton" or (name == "auto" and sae.W_dec.is_cuda and fits_triton(sae)):
        return TritonKernel(**sizes)
    return FusedKernel(**sizes) if fits and name != "sparse" else SparseKernel(**sizes)


__all__ = [
    "KERNELS",
    "FusedKernel",
    "Kernel",
    "ReferenceKernel",
    "SparseKernel",
    "StepResult",
    "TritonKernel",
    "make_kernel",
]
