"""float64, wherever a tensor lies."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def float64(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """`tensor` in float64: on its own device where that has float64, on the CPU where it has not (Apple's MPS)."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()
