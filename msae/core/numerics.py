"""Numbers as they come: float64 wherever a tensor lies, and rows of activations of any dtype, as torch or numpy."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from msae.core.errors import ConfigError

RowArray = Shaped[Tensor, "..."] | Shaped[np.ndarray, "..."]


def float64(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """`tensor` in float64: on its own device where that has float64, on the CPU where it has not (Apple's MPS)."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def as_rows(x: RowArray, d_in: int | None = None, what: str = "x") -> Float[Tensor, "rows d_in"]:
    """`x` as a tensor of rows, on the device and of the dtype it has; whole numbers become float32.

    Raises `ConfigError` for what is no array of real numbers, and for another shape than (rows, `d_in`); None: any
    width.
    """
    if isinstance(x, np.ndarray):
        try:
            x = torch.from_numpy(np.require(x, x.dtype.newbyteorder("="), ["C", "W"]))
        except TypeError as error:
            raise ConfigError(f"{what} has dtype {x.dtype}: expected an array of numbers") from error
    if not isinstance(x, Tensor):
        raise ConfigError(f"{what} is a {type(x).__name__}: expected a torch tensor or a numpy array of rows")
    if x.is_complex():
        raise ConfigError(f"{what} has dtype {x.dtype}: expected real numbers")
    if x.ndim != 2 or d_in not in (None, x.shape[1]):
        advice = ", so put one after the other: x.reshape(-1, x.shape[-1])" if x.ndim > 2 else ""
        wanted = "d_in" if d_in is None else f"d_in = {d_in}"
        raise ConfigError(f"{what} has shape {tuple(x.shape)}: expected (batch, {wanted}){advice}")
    return x if x.is_floating_point() else x.float()
