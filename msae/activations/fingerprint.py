"""Short fingerprints of weights and arrays that carry no revision of their own: cheap, and different when they differ.

Small inputs are hashed whole. Of large ones a fixed, even sample of blocks is hashed, so an edit confined to a few
numbers of a large file can go unseen; retraining cannot.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from msae.core.errors import SourceError

WHOLE_BYTES = 1 << 26
SAMPLED_BLOCKS = 1024
BLOCK_BYTES = 1 << 14
SAMPLED_VALUES = 256

WEIGHT_PATTERNS = ("*.safetensors", "*.bin")


def folder_fingerprint(folder: Path) -> str:
    """A fingerprint of a saved model: its ``config.json`` and its weight files (name, size, content).

    What records made before `msae.activations.identity` know a model by.
    """
    weights = sorted(path for pattern in WEIGHT_PATTERNS for path in folder.glob(pattern))
    if not weights:
        raise SourceError(f"{folder} holds no weights ({' or '.join(WEIGHT_PATTERNS)}): save the model there first")
    digest = hashlib.sha256()
    for path in (folder / "config.json", *weights):
        digest.update(f"{path.name}:{path.stat().st_size};".encode())
        _update_with_file(digest, path)
    return short(digest)


def tensor_fingerprint(tensor: Tensor) -> str:
    """A fingerprint of a tensor: its shape, dtype and rows (of a large one, an even sample of rows)."""
    digest = hashlib.sha256(f"{tuple(tensor.shape)}:{tensor.dtype};".encode())
    row_bytes = tensor[0].numel() * tensor.element_size()
    if len(tensor) * row_bytes > WHOLE_BYTES:
        tensor = tensor[evenly(len(tensor), max(SAMPLED_BLOCKS * BLOCK_BYTES // row_bytes, 1)).to(tensor.device)]
    digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return short(digest)


def parameter_fingerprint(module: nn.Module) -> str:
    """A fingerprint of a module in memory: name and shape of every parameter and buffer, and 256 of its values."""
    digest = hashlib.sha256()
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        digest.update(f"{name}:{tuple(tensor.shape)};".encode())
        flat = tensor.detach().flatten()
        digest.update(flat[evenly(len(flat), SAMPLED_VALUES).to(flat.device)].cpu().double().numpy().data)
    return short(digest)


def _update_with_file(digest: hashlib._Hash, path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= WHOLE_BYTES:
            digest.update(file.read())
            return
        for position in evenly(size - BLOCK_BYTES + 1, SAMPLED_BLOCKS).tolist():
            file.seek(position)
            digest.update(file.read(BLOCK_BYTES))


def evenly(length: int, at_most: int) -> Tensor:
    """At most `at_most` whole numbers below `length`, evenly spread, the first and the last among them."""
    return torch.linspace(0, length - 1, steps=min(at_most, length), dtype=torch.float64).long()


def short(digest: hashlib._Hash) -> str:
    """A digest as it is written down."""
    return f"sha256:{digest.hexdigest()[:16]}"
