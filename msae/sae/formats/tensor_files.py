"""Tensors of others' files, their shapes first: a header can be read, and refused, before any memory is taken.

No reader here runs code that a file brings: safetensors and npz hold numbers only, and a ``.pt`` is unpickled with
``weights_only``.
"""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from msae.core.errors import CheckpointError

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class TensorFile:
    """The shapes of a file's tensors, and how to read them (by name, so that one can be left in the file)."""

    path: Path
    shapes: Shapes
    read: Callable[[str], Tensor]


def open_safetensors(path: Path) -> TensorFile:
    """A ``.safetensors`` file; `CheckpointError` when it is missing, cut off or not one."""
    from safetensors import SafetensorError, safe_open

    try:
        file = safe_open(path, framework="pt")
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); it is missing or cut off: copy it again") from error
    return TensorFile(path=path, shapes=shapes, read=file.get_tensor)


def open_npz(path: Path) -> TensorFile:
    """A numpy ``.npz``; arrays of Python objects are refused."""
    try:
        with zipfile.ZipFile(path) as archive:
            shapes = {name.removesuffix(".npy"): _npy_shape(archive, name) for name in archive.namelist()}
        arrays = np.load(path, allow_pickle=False)
    except (OSError, ValueError, SyntaxError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); it is missing or cut off: copy it again") from error
    return TensorFile(path=path, shapes=shapes, read=lambda name: torch.from_numpy(np.array(arrays[name])))


def open_pt(path: Path, inner: str | None = None) -> TensorFile:
    """A state dict saved by `torch.save`, mapped and not held. `inner`: the key of it in a backup of training."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # whatever a damaged or hostile file makes an unpickler meet
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path} was not opened ({reason}): it is cut off, or holds more than tensors, which could run code"
        ) from error
    state = loaded.get(inner, loaded) if isinstance(loaded, Mapping) and inner else loaded
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise CheckpointError(f"{path} holds no state dict: expected names and tensors")
    return TensorFile(path=path, shapes={n: tuple(t.shape) for n, t in state.items()}, read=lambda name: state[name])


def _npy_shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        size = int.from_bytes(member.read(2 if version == (1, 0) else 4), "little")
        header = ast.literal_eval(member.read(size).decode("latin1"))
    return tuple(header["shape"])
