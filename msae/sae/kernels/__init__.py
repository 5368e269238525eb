"""Kernels: one step's losses and gradients. `reference` is dense and obviously right; the others must equal it.

To add one: a class in a file here, and its entry in `KERNELS`.
"""

from __future__ import annotations

from msae.core.config import require
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.base import Kernel, StepResult
from msae.sae.kernels.fused import FusedKernel
from msae.sae.kernels.reference import ReferenceKernel
from msae.sae.kernels.sparse import SparseKernel
from msae.sae.kernels.triton_step import TritonKernel

# The fastest first: ``auto`` takes the first that needs nothing the SAE or the machine has not.
KERNELS: dict[str, type[Kernel]] = {cls.name: cls for cls in (TritonKernel, FusedKernel, SparseKernel, ReferenceKernel)}
AUTO = "auto"
KERNEL_NAMES = (AUTO, *KERNELS)


def make_kernel(name: str, sae: SparseAutoencoder, block: int | None = None) -> Kernel:
    """The kernel called `name`; ``auto`` is the fastest that can train `sae` where it lies.

    `block`: the most pre-activations it holds at once (`reference` holds them all); None leaves that to the kernel.
    Raises `ConfigError` for a kernel that does not exist, or that needs what `sae` or the machine does not have.
    """
    return kernel_class(name, sae).make(block)


def kernel_class(name: str, sae: SparseAutoencoder) -> type[Kernel]:
    """The class that `make_kernel` makes one of."""
    require(name in KERNEL_NAMES, "kernel", name, f"one of {KERNEL_NAMES}")
    if name == AUTO:
        return next(cls for cls in KERNELS.values() if cls.is_for(sae) and cls.needs(sae) is None)
    needs = KERNELS[name].needs(sae)
    require(needs is None, "kernel", name, str(needs))
    return KERNELS[name]


__all__ = [
    "AUTO",
    "KERNELS",
    "KERNEL_NAMES",
    "FusedKernel",
    "Kernel",
    "ReferenceKernel",
    "SparseKernel",
    "StepResult",
    "TritonKernel",
    "kernel_class",
    "make_kernel",
]
