"""Safetensors files read through memory maps: a tensor of a file is a view of the disk, paid for when touched."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from msae.core.dtypes import torch_dtypes
from msae.core.errors import StoreError
from msae.core.files import parse_json

DTYPES = torch_dtypes()
_SAFETENSORS_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_LENGTH_BYTES = 8


def map_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file as a private memory map: nothing is read until it is used.

    Raises `StoreError` when the file is missing, shorter or longer than its own header says, or no safetensors file.
    """
    try:
        size = path.stat().st_size
        header, body = _read_header(path, size)
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        mapped = _mapped(path, size)
        tensors = {name: _view(mapped[body:], entry) for name, entry in entries.items()}
        ends = [entry["data_offsets"][1] for entry in entries.values()]
    except PermissionError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}): check its rights") from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, StoreError) as error:
        raise StoreError(f"{path} cannot be read as a safetensors file ({error}). {RESTORE}") from error
    if size != body + max(ends, default=0):
        raise StoreError(f"{path} has {size} bytes, its header says {body + max(ends, default=0)}. {RESTORE}")
    return tensors


def _mapped(path: Path, size: int) -> Tensor:
    try:
        return torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
    except RuntimeError as error:
        content = path.read_bytes()
        warnings.warn(
            f"{path} cannot be mapped ({str(error).splitlines()[0]}), so it is read into memory whole; on a local disk "
            "it would not be",
            stacklevel=3,
        )
        return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)


RESTORE = "It was truncated or altered: restore it from a copy, or delete the store and harvest it again."


def _read_header(path: Path, size: int) -> tuple[dict[str, Any], int]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES + length:
            raise ValueError("it ends inside its header")
        header = parse_json(file.read(length).decode("utf-8"), "its header", StoreError)
        return header, _LENGTH_BYTES + length


def _view(body: Tensor, entry: dict[str, Any]) -> Tensor:
    start, stop = entry["data_offsets"]
    dtype, shape = _SAFETENSORS_DTYPES[entry["dtype"]], entry["shape"]
    if stop > len(body) or stop - start != math.prod(shape) * dtype.itemsize:
        raise ValueError("it ends inside a tensor")
    return body[start:stop].view(dtype).view(shape)
