"""The dtypes that activations and models can have, by the names that settings, files and the command line use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import torch

DtypeName = Literal["float16", "bfloat16", "float32"]
DTYPE_NAMES: tuple[str, ...] = get_args(DtypeName)


def torch_dtypes() -> dict[str, torch.dtype]:
    """torch's dtypes by name. Torch is loaded here: the command line needs the names alone."""
    import torch

    return {name: getattr(torch, name) for name in DTYPE_NAMES}
