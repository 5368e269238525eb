"""Files of text: which ones a pattern names, what they are called, and reading them, compressed or not."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import gzip
import io
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from msae.core.errors import CorpusError

COMPRESSED = (".gz", ".zst")
"""Files of these endings are decompressed as they are read."""


def matching_files(globs: Iterable[str | Path]) -> list[Path]:
    """The files the patterns match, pattern by pattern and sorted within each; `CorpusError` when one matches none.

    ``**`` crosses folders, links to folders too, each folder once.
    """
    patterns = [str(Path(pattern).expanduser()) for pattern in globs]
    if not patterns:
        raise CorpusError("no file was named: give at least one path or pattern, such as 'corpus/*.txt'")
    paths: dict[Path, None] = {}
    for pattern in patterns:
        files = _files(pattern)
        if not files:
            hint = f" It names a folder: try {pattern}/**/*.txt" if os.path.isdir(pattern) else ""  # noqa: PTH112
            raise CorpusError(f"no file matches {pattern!r} (looked from {Path.cwd()}).{hint}")
        paths.update(dict.fromkeys(files))
    return list(paths)


def shown(path: Path) -> str:
    """The path as text that can be printed and written: bytes of a name that are no UTF-8 as ``\\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def read_text(path: Path, errors: str) -> str:
    """The whole of a UTF-8 file, line ends as they are; `errors` as of `bytes.decode`."""
    with _readable(path), _opened(path) as file:
        content = file.read()
    try:
        return content.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{shown(path)} is not UTF-8 text (byte {content[error.start]:#04x} at {error.start}). "
            "Re-encode it, leave it out, or pass errors='replace'."
        ) from error


def read_lines(path: Path, newline: str = "\n") -> Iterator[str]:
    """The lines of a UTF-8 file, their ends kept; `newline` as of `open`."""
    with _readable(path), io.TextIOWrapper(_opened(path), encoding="utf-8-sig", newline=newline) as file:
        yield from file


def _files(pattern: str) -> list[Path]:
    # A name may contain glob characters, so one that exists is itself.
    try:
        names = [pattern] if os.path.exists(pattern) else sorted(_expanded(pattern))  # noqa: PTH110
        return [Path(name) for name in names if os.path.isfile(name)]  # noqa: PTH113
    except ValueError:  # a name with a zero byte
        return []


def _expanded(pattern: str) -> Iterable[str]:
    if "**" not in Path(pattern).parts:
        return glob.glob(pattern)
    path = Path(pattern)
    return _walk(path.anchor, list(path.parts[1:] if path.anchor else path.parts), {})


def _walk(folder: str, parts: list[str], seen: dict[int, set[tuple[int, int]]]) -> Iterator[str]:
    """What the parts of a pattern match below `folder`. `seen`: the folders each ``**`` has been in, so that a link to
    a folder above it ends."""
    part, rest = parts[0], parts[1:]
    if part != "**":
        for name in _names(folder):
            if fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith(".")):
                path = os.path.join(folder, name)  # noqa: PTH118
                if not rest:
                    yield path
                elif os.path.isdir(path):  # noqa: PTH112
                    yield from _walk(path, rest, seen)
        return
    if not _is_new(folder or ".", seen.setdefault(len(parts), set())):
        return
    if rest:
        yield from _walk(folder, rest, seen)
    for name in _names(folder):
        path = os.path.join(folder, name)  # noqa: PTH118
        if name.startswith("."):
            continue
        if not rest:
            yield path
        if os.path.isdir(path):  # noqa: PTH112
            yield from _walk(path, parts, seen)


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder or "."))  # noqa: PTH208
    except OSError:
        return []


def _is_new(folder: str, seen: set[tuple[int, int]]) -> bool:
    try:
        found = os.stat(folder)  # noqa: PTH116
    except OSError:
        return False
    known = (found.st_dev, found.st_ino) in seen
    seen.add((found.st_dev, found.st_ino))
    return not known


def _opened(path: Path) -> Any:
    """Its bytes, decompressed, as a binary stream."""
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".zst":
        import pyarrow as pa

        return io.BufferedReader(pa.CompressedInputStream(path.open("rb"), "zstd"))
    return path.open("rb")


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Around reading: raises `CorpusError` where the file cannot be read, or is not what its name says."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise CorpusError(f"{shown(path)} is not UTF-8 text: {error.reason}. Re-encode it or leave it out.") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CorpusError(f"could not read {shown(path)}: {reason}") from error
