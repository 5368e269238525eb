"""What is built of an index so far: parts of consecutive items, each of two files, the names last."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from msae.core.errors import CheckpointError
from msae.core.files import read_json, read_tensors, write_json, write_tensors

AGAIN = "build the index again"

Named = tuple[str, str]
"""An item's name, and the beginning of its text (empty where it has none)."""
Blocks = Iterable[tuple[list[Named], Float[Tensor, "block d_in"]]]
"""Items and their rows, in order."""


class Parts:
    """Those in a folder; `named`: all their items."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lists: list[list[Named]] = []
        while self._file("json", self.count).is_file():
            self._lists.append(read_named(self._file("json", self.count)))

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._lists)

    @property
    def named(self) -> list[Named]:
        """Their items, in order."""
        return list(itertools.chain.from_iterable(self._lists))

    def add(self, named: list[Named], tensors: dict[str, Tensor]) -> None:
        """Write one more."""
        self.folder.mkdir(exist_ok=True)
        write_tensors(self._file("safetensors", self.count), tensors)
        write_json(self._file("json", self.count), named)
        self._lists.append(named)

    def tensors(self, number: int) -> dict[str, Tensor]:
        """What one holds; `CheckpointError` where it cannot be read."""
        return read_tensors(self._file("safetensors", number), CheckpointError, hint=AGAIN)[0]

    def _file(self, ending: str, number: int) -> Path:
        return self.folder / f"{number:05d}.{ending}"


def read_named(path: Path) -> list[Named]:
    """Names and texts of items; `CheckpointError` for a file of anything else."""
    found = read_json(path, CheckpointError, expected=list, hint=AGAIN)
    if not all(isinstance(item, list) and len(item) == 2 for item in found):
        raise CheckpointError(f"{path} does not hold names and texts of items: {AGAIN}")
    return [(str(name), str(text)) for name, text in found]


def regrouped(blocks: Blocks, size: int) -> Iterator[tuple[list[Named], Tensor]]:
    """The items, `size` at a time."""
    named: list[Named] = []
    pending: list[Tensor] = []
    for more, rows in blocks:
        named += more
        pending.append(rows)
        while len(named) >= size:
            joined = torch.cat(pending)
            yield named[:size], joined[:size]
            named, pending = named[size:], [joined[size:]]
    if named:
        yield named, torch.cat(pending)
