"""Short fingerprints of weights and arrays that carry no revision of their own: cheap, and different when they differ.

Small inputs are hashed whole. Of large ones a fixed, even sample of blocks is hashed, so an edit confined to a few
numbers of a large file can go unseen; retraining cannot.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from msae.core.errors import SourceError

WHOLE_BYTES = 1 << 26
SAMPLED_BLOCKS = 1024
BLOCK_BYTES = 1 << 14
SAMPLED_VALUES = 256

WEIGHT_PATTERNS = ("*.safetensors", "*.bin")


def folder_fingerprint(folder: Path) -> str:
    """A fingerprint of a saved model: its ``config.json`` and its weight files (name, size, content)."""
    weights = sorted(path for pattern in WEIGHT_PATTERNS for path in folder.glob(pattern))
    if not weights:
        raise SourceError(f"{folder} holds no weights ({' or '.join(WEIGHT_PATTERNS)}): save the model there first")
    digest = hashlib.sha256()
    for path in (folder / "config.json", *weights):
        digest.update(f"{path.name}:{path.stat().st_size};".encode())
        _update_with_file(digest, path)
    return _short(digest)


def array_fingerprint(array: np.ndarray) -> str:
    """A fingerprint of an array: its shape, dtype and rows (of a large one, an even sample of rows)."""
    digest = hashlib.sha256(f"{array.shape}:{array.dtype.str};".encode())
    if array.nbytes > WHOLE_BYTES:
        n_rows = max(SAMPLED_BLOCKS * BLOCK_BYTES // array[:1].nbytes, 1)
        array = array[np.linspace(0, len(array) - 1, num=min(n_rows, len(array)), dtype=np.int64)]
    digest.update(np.ascontiguousarray(array).data)
    return _short(digest)


def parameter_fingerprint(module: nn.Module) -> str:
    """A fingerprint of a module in memory: name and shape of every parameter and buffer, and 256 of its values."""
    digest = hashlib.sha256()
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        digest.update(f"{name}:{tuple(tensor.shape)};".encode())
        flat = tensor.detach().flatten()
        indices = torch.linspace(0, len(flat) - 1, steps=min(SAMPLED_VALUES, len(flat)), dtype=torch.float64).long()
        digest.update(flat[indices.to(flat.device)].double().cpu().numpy().data)
    return _short(digest)


def _update_with_file(digest: hashlib._Hash, path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= WHOLE_BYTES:
            digest.update(file.read())
            return
        for position in np.linspace(0, size - BLOCK_BYTES, num=SAMPLED_BLOCKS, dtype=np.int64).tolist():
            file.seek(position)
            digest.update(file.read(BLOCK_BYTES))


def _short(digest: hashlib._Hash) -> str:
    return f"sha256:{digest.hexdigest()[:16]}"
