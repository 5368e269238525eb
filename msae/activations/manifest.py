"""The folder of an activation store: its manifest, the names of its files, and the advice for a broken one.

::

    manifest.json               what the store is; the size and SHA-256 of every other file (format version 2)
    mean.safetensors            "mean": float64 [d_in], over every row
    documents.json              the names of the documents, in the order read
    acts-00000.safetensors      "acts": [rows, d_in] in the store's dtype, in reading order
    tokens-00000.safetensors    "token_id", "document", "offset", "position": int32 [rows], the origin of each row;
                                "norm": float32 [rows], its norm (version 1 has neither position nor norm)
    holdout/                    a store of its own: contexts kept back from training, with, in addition to the above,
        contexts-00000.safetensors   "token_ids", "document", "offset": int32, "attention": bool; [contexts, context]

No file holds a time or a host, so that the same harvest always writes the same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msae.activations.norms import NormSummary
from msae.activations.shards import DTYPES, RESTORE
from msae.core.config import from_dict, require
from msae.core.errors import ConfigError, StoreError
from msae.core.files import json_text, read_json, sha256
from msae.core.spec import SourceSpec

FORMAT = "msae activation store"
FORMAT_VERSION = 2
READ_VERSIONS = (1, 2)
MANIFEST = "manifest.json"
PROGRESS = "progress.json"
HOLDOUT = "holdout"
MEAN = "mean.safetensors"
DOCUMENTS = "documents.json"

_OTHER_SUM = "has another SHA-256 than it was written with"
_CHECKED: set[tuple[object, ...]] = set()
"""Files that were read and found right: device, number, size, time and record of each."""


def shard_name(kind: str, index: int) -> str:
    """The file of shard `index`; `kind` is ``acts``, ``tokens`` or ``contexts``."""
    return f"{kind}-{index:05d}.safetensors"


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """The size and checksum that one file of a store must have."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileRecord:
        """The record of a file as it lies on the disk."""
        return cls(bytes=path.stat().st_size, sha256=sha256(path))


@dataclass(frozen=True, kw_only=True)
class HarvestSettings:
    """How a store was made.

    `n_tokens` rows were requested; a corpus that ran out gave fewer. Every `holdout_stride`-th context is set aside,
    starting with the first (0: none is). `shard_rows`: rows after which a shard is closed, at the end of a model batch.
    `tokens_digest`: a hash chain over the contexts that were read, which names the corpus as the model saw it.
    """

    n_tokens: int
    holdout_tokens: int
    holdout_stride: int
    shard_rows: int
    tokens_digest: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything a store says about itself.

    `context_rows`: contexts a shard, for a holdout; empty otherwise. `norms`: how the rows' norms are spread.
    `rounding`: Σ‖x − x̃‖² / Σ‖x‖² of the rows x̃ on disk against the rows x that the source gave. Both are None in
    stores of version 1. `msae_version`: who wrote it (None: 0.1.0 or before); it is no part of the fingerprint.
    """

    spec: SourceSpec
    dtype: str
    n_rows: int
    shard_rows: tuple[int, ...]
    context_rows: tuple[int, ...]
    mean_squared_norm: float
    n_documents: int
    corpus: str
    harvest: HarvestSettings
    norms: NormSummary | None = None
    rounding: float | None = None
    files: dict[str, FileRecord] = field(default_factory=dict)
    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    msae_version: str | None = None

    def __post_init__(self) -> None:
        require(self.format == FORMAT, "format", self.format, repr(FORMAT))
        require(
            self.format_version in READ_VERSIONS,
            "format_version",
            self.format_version,
            f"one of {READ_VERSIONS}, which this version of msae reads; a newer store needs a newer msae",
        )
        require(self.dtype in DTYPES, "dtype", self.dtype, f"one of {sorted(DTYPES)}")
        require(sum(self.shard_rows) == self.n_rows, "shard_rows", self.shard_rows, f"a sum of n_rows = {self.n_rows}")

    @classmethod
    def read(cls, path: Path) -> tuple[Manifest, str]:
        """The manifest of the store at `path` and its fingerprint (`_fingerprint`).

        Raises `StoreError` when there is no store, it is unfinished, or the manifest is not one.
        """
        _require_finished(path)
        file = path / MANIFEST
        values = read_json(file, StoreError, hint=RESTORE)
        try:
            if values.get("format") != FORMAT:
                raise ConfigError(f"it does not say {FORMAT!r}")
            manifest = from_dict(cls, values)
        except ConfigError as error:
            raise StoreError(f"{file} is not the manifest of an activation store: {error}. {RESTORE}") from error
        return manifest, _fingerprint(values, file)

    def check_sizes(self, path: Path) -> None:
        """Raise `StoreError` naming every file that is missing or has another size than it was written with."""
        _refuse(path, [wrong for name in self.files if (wrong := self._wrong_size(path, name))])

    def check_size(self, path: Path, name: str) -> None:
        """`check_sizes` for one file."""
        if wrong := self._wrong_size(path, name):
            _refuse(path, [wrong])

    def check_file(self, path: Path, name: str) -> None:
        """Raise `StoreError` when the file is not the one that was written. A file is read for that once a process, as
        long as it does not change."""
        self.check_size(path, name)
        record = self.files.get(name)
        if record is None:
            return
        found = (path / name).stat()
        identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, record)
        if identity in _CHECKED:
            return
        if sha256(path / name) != record.sha256:
            _refuse(path, [f"{name} {_OTHER_SUM}"])
        _CHECKED.add(identity)

    def _wrong_size(self, path: Path, name: str) -> str:
        """What is wrong with it, or nothing."""
        record = self.files.get(name)
        try:
            size = (path / name).stat().st_size
        except OSError:
            return f"{name} is missing"
        if record is None or size == record.bytes:
            return ""
        return f"{name} has {size} bytes, was written with {record.bytes}"

    def check_contents(self, path: Path) -> None:
        """Raise `StoreError` naming every file whose SHA-256 is not the one it was written with. Reads all of them."""
        self.check_sizes(path)
        _refuse(
            path,
            [f"{name} {_OTHER_SUM}" for name, record in self.files.items() if sha256(path / name) != record.sha256],
        )


def holds_store(path: Path) -> bool:
    """Whether a store, finished or not, lies at `path`."""
    return (path / MANIFEST).is_file() or (path / PROGRESS).is_file()


def _require_finished(path: Path) -> None:
    if (path / MANIFEST).is_file():
        return
    if not path.is_dir():
        raise StoreError(f"there is no activation store at {path}: make one with harvest(..., path={str(path)!r})")
    if (path / PROGRESS).is_file() or (path.parent / PROGRESS).is_file():
        raise StoreError(f"the store at {path} is unfinished: run the same harvest again, and it continues")
    inside = sorted(entry.name for entry in path.iterdir() if holds_store(entry))
    if inside:
        raise StoreError(f"{path} holds {len(inside)} stores, one a hook: open one of {inside}")
    raise StoreError(f"{path} has no {MANIFEST}, so it is not an activation store (or not a finished one)")


def _fingerprint(values: dict[str, Any], path: Path) -> str:
    """SHA-256 of the manifest as it would be without the version of msae that wrote it: the store is the same one."""
    content = json_text({name: value for name, value in values.items() if name != "msae_version"}, path)
    return hashlib.sha256(content.encode("utf-8")).hexdigest()


def _refuse(path: Path, wrong: list[str]) -> None:
    if wrong:
        more = f", and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise StoreError(f"the store at {path} is damaged: {'; '.join(wrong[:5])}{more}. {RESTORE}")
