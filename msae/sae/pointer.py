"""A folder that stands for an SAE elsewhere: where its files are, their sums, and the prefix widths that were named."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msae.core.config import from_dict, to_dict
from msae.core.errors import CheckpointError, ConfigError
from msae.core.files import read_json, write_json
from msae.core.spec import SourceSpec
from msae.runs.layout import SAE_CONFIG

KEY = "adopted"


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """`path`: the SAE. `sums`: SHA-256 of each of its files, by name. `source`: what its activations are."""

    path: str
    widths: tuple[int, ...]
    sums: dict[str, str]
    source: dict[str, object]


def write_pointer(folder: Path, path: Path, widths: Sequence[int], source: SourceSpec) -> None:
    """Make `folder` stand for the SAE at `path`."""
    pointer = Pointer(path=str(path), widths=tuple(widths), sums=sums_of(path), source=to_dict(source))
    write_json(folder / SAE_CONFIG, {KEY: to_dict(pointer)})


def read_pointer(folder: Path) -> tuple[Path, tuple[int, ...], SourceSpec] | None:
    """The SAE that `folder` stands for, its widths and source; None for a folder that holds one itself.

    Raises `CheckpointError` when its files are gone or are not the ones that were adopted.
    """
    values = read_json(folder / SAE_CONFIG, CheckpointError).get(KEY)
    if values is None:
        return None
    try:
        pointer = from_dict(Pointer, values)
        source = from_dict(SourceSpec, pointer.source)
    except (ConfigError, TypeError) as error:
        raise CheckpointError(f"{folder / SAE_CONFIG} has no readable {KEY} ({error}): adopt the SAE again") from error
    path = Path(pointer.path)
    if not path.exists():
        raise CheckpointError(f"{path} is not there any more: bring it back, or adopt it from where it is now")
    if changed := sorted({name for name, _ in set(sums_of(path).items()) ^ set(pointer.sums.items())}):
        raise CheckpointError(f"{path} is not what was adopted: {', '.join(changed)} changed; adopt it again")
    return path, pointer.widths, source


def sums_of(path: Path) -> dict[str, str]:
    """SHA-256 of the file, or of each file that lies directly in the folder, by name."""
    files = [path] if path.is_file() else [file for file in sorted(path.iterdir()) if file.is_file()]
    return {file.name: _sum(file) for file in files if not file.name.startswith(".")}


def _sum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
