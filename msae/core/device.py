"""Which device is meant, and whether it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msae.core.errors import ConfigError

if TYPE_CHECKING:
    import torch


def usable_device(device: str | torch.device | None = None) -> torch.device:
    """The device of that name, seen to compute; None: a CUDA GPU where there is one, and else the CPU.

    Raises `ConfigError` for a name that is none, and for a device that is not there.
    """
    import torch

    named = device if device is not None else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(named)
        torch.zeros(1, device=found).item()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, ValueError) as error:
        raise ConfigError(
            f"device = {str(named)!r} is not available here ({str(error).partition(chr(10))[0]}): give cpu, cuda or mps"
        ) from error
    return found
