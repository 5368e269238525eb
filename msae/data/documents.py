"""Documents: a name and a text, from files, JSONL, Parquet, data sets or strings.

Every reader returns `Documents`: an iterable that gives the same documents, in the same order, each time it is
iterated. What can be checked at once (that files exist, that a column exists) is checked when the reader is called.
"""

from __future__ import annotations

import csv
import glob
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msae.core.errors import CorpusError

ROWS_AT_A_TIME = 1024


@dataclass(frozen=True)
class Document:
    """One text with a name that finds it again (a path, a line of a file, a row of a data set)."""

    name: str
    text: str


class Documents:
    """Documents that can be read again and again from the start; `description` says where they come from."""

    def __init__(self, description: str, read: Callable[[], Iterator[Document]]):
        self.description = description
        self._read = read

    def __iter__(self) -> Iterator[Document]:
        return self._read()

    def __repr__(self) -> str:
        return f"Documents({self.description!r})"


class NamesRead:
    """Documents passed through, their names remembered in the order read."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self.names: list[str] = []
        self._documents = documents

    def __iter__(self) -> Iterator[Document]:
        for document in self._documents:
            self.names.append(document.name)
            yield document


def string_documents(texts: Iterable[str], name: str = "text") -> Documents:
    """One document a string, named ``text[0]``, ``text[1]`` and so on.

    An iterator that could be read only once (a generator) is kept in memory.
    """
    if isinstance(texts, str):
        raise CorpusError(f"string_documents takes an iterable of strings, got one string: pass [{texts[:20]!r}...]")
    kept = list(texts) if isinstance(texts, Iterator) else texts

    def read() -> Iterator[Document]:
        for index, text in enumerate(kept):
            yield _document(f"{name}[{index}]", text, "item")

    return Documents(f"strings {name!r}", read)


def text_documents(*globs: str | Path, errors: str = "strict") -> Documents:
    """One document a UTF-8 file, for every file the `globs` match (``**`` crosses folders).

    The text is the file's, to the character: line ends stay as they are; a byte order mark is left out.
    Files come pattern by pattern, sorted within each; a file matched twice is read once. A file that is not UTF-8
    raises `CorpusError` when it is reached, unless `errors` is ``"replace"`` or ``"ignore"`` (as in `bytes.decode`).
    """
    paths = matching_files(globs)

    def read() -> Iterator[Document]:
        for path in paths:
            yield Document(str(path), _read_text(path, errors))

    return Documents(_describe("text file", globs, paths), read)


def jsonl_documents(*globs: str | Path, text: str = "text") -> Documents:
    """One document a line of JSON, the text in the field `text`; named ``path:line``. Blank lines are skipped."""
    paths = matching_files(globs)

    def read() -> Iterator[Document]:
        for path in paths:
            for number, line in enumerate(_lines(path), start=1):
                if line.strip():
                    yield _json_document(f"{path}:{number}", line, text)

    return Documents(_describe("JSONL file", globs, paths), read)


def csv_documents(*globs: str | Path, text: str = "text") -> Documents:
    """One document a row of a CSV file, the text in the column `text`; named ``path#row``, rows counted from 0."""
    paths = matching_files(globs)
    for path in paths:
        columns = next(csv.reader(_lines(path, newline="")), [])
        if text not in columns:
            raise CorpusError(f"{path} has no column {text!r}; it has {columns}. Name one with text=...")

    def read() -> Iterator[Document]:
        for path in paths:
            for row, values in enumerate(csv.DictReader(_lines(path, newline=""))):
                yield _document(f"{path}#{row}", values[text], f"column {text!r}")

    return Documents(_describe("CSV file", globs, paths), read)


def parquet_documents(*globs: str | Path, text: str = "text") -> Documents:
    """One document a row of the column `text`, streamed row group by row group; named ``path#row``."""
    paths = matching_files(globs)
    for path in paths:
        columns = _parquet_file(path).schema_arrow.names
        if text not in columns:
            raise CorpusError(f"{path} has no column {text!r}; it has {columns}. Name one with text=...")

    def read() -> Iterator[Document]:
        for path in paths:
            row = 0
            for batch in _parquet_file(path).iter_batches(batch_size=ROWS_AT_A_TIME, columns=[text]):
                for value in batch.column(0).to_pylist():
                    yield _document(f"{path}#{row}", value, f"column {text!r}")
                    row += 1

    return Documents(_describe("Parquet file", globs, paths), read)


def dataset_documents(dataset: Any, text: str = "text", split: str = "train", config: str | None = None) -> Documents:
    """One document a row of a Hugging Face data set.

    `dataset`: a hub name or local folder (opened with ``datasets.load_dataset(name, config, split=split)``, streaming),
    or an object of the `datasets` package: a `Dataset`, an `IterableDataset`, or a dictionary of splits.
    Documents are named ``name[split][row]``.
    """
    rows = _open_dataset(dataset, split, config) if isinstance(dataset, str | Path) else dataset
    if isinstance(rows, Mapping):
        if split not in rows:
            raise CorpusError(f"the data set has no split {split!r}; it has {sorted(rows)}. Name one with split=...")
        rows = rows[split]
    columns = getattr(rows, "column_names", None)
    if columns is not None and text not in columns:
        raise CorpusError(f"the data set has no column {text!r}; it has {columns}. Name one with text=...")
    name = str(dataset) if isinstance(dataset, str | Path) else _dataset_name(rows)

    def read() -> Iterator[Document]:
        for index, row in enumerate(rows):
            if text not in row:
                raise CorpusError(f"{name}[{split}][{index}] has no field {text!r}; it has {sorted(row)}")
            yield _document(f"{name}[{split}][{index}]", row[text], f"field {text!r}")

    return Documents(f"data set {name}[{split}]", read)


def matching_files(globs: Iterable[str | Path]) -> list[Path]:
    """The files the patterns match, pattern by pattern and sorted within each; `CorpusError` when one matches none."""
    patterns = [str(Path(pattern).expanduser()) for pattern in globs]
    if not patterns:
        raise CorpusError("no file was named: give at least one path or pattern, such as 'corpus/*.txt'")
    paths: dict[Path, None] = {}
    for pattern in patterns:
        # A name may contain glob characters, so one that exists is itself.
        names = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))
        files = [Path(name) for name in names if Path(name).is_file()]
        if not files:
            hint = f" It names a folder: try {pattern}/**/*.txt" if Path(pattern).is_dir() else ""
            raise CorpusError(f"no file matches {pattern!r} (looked from {Path.cwd()}).{hint}")
        paths.update(dict.fromkeys(files))
    return list(paths)


def _describe(kind: str, globs: Iterable[str | Path], paths: list[Path]) -> str:
    return f"{len(paths)} {kind}{'s' * (len(paths) != 1)}: {', '.join(map(str, globs))}"


def _document(name: str, text: Any, where: str) -> Document:
    if not isinstance(text, str):
        raise CorpusError(
            f"{name}: {where} holds {type(text).__name__} {text!r:.60}, not text. Remove or fill such rows."
        )
    return Document(name, text)


def _read_text(path: Path, errors: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path} is not UTF-8 text (byte {error.object[error.start]:#04x} at {error.start}). "
            "Re-encode it, leave it out, or pass errors='replace'."
        ) from error
    except OSError as error:
        raise CorpusError(f"could not read {path}: {error.strerror}") from error


def _lines(path: Path, newline: str = "\n") -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            yield from file
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} is not UTF-8 text: {error.reason}. Re-encode it or leave it out.") from error
    except OSError as error:
        raise CorpusError(f"could not read {path}: {error.strerror}") from error


def _json_document(name: str, line: str, field: str) -> Document:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise CorpusError(f"{name} is not JSON: {error.msg} at column {error.colno}: {line[:60]!r}") from error
    if not isinstance(row, dict):
        raise CorpusError(f"{name} holds {type(row).__name__}, expected an object with a field {field!r}")
    if field not in row:
        raise CorpusError(f"{name} has no field {field!r}; it has {sorted(row)}. Name one with text=...")
    return _document(name, row[field], f"field {field!r}")


def _parquet_file(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise CorpusError(f"could not read {path} as Parquet: {error}") from error


def _open_dataset(name: str | Path, split: str, config: str | None) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise CorpusError("dataset_documents needs the datasets package: pip install datasets") from error
    try:
        return datasets.load_dataset(str(name), config, split=split, streaming=True)
    except Exception as error:  # the hub raises its own errors, connection errors and ValueErrors alike
        reason = str(error).strip().partition("\n")[0]
        raise CorpusError(
            f"could not open data set {str(name)!r} (config {config!r}, split {split!r}): {reason}. "
            "Check the names and the network, or read local files with jsonl_documents or parquet_documents."
        ) from error


def _dataset_name(rows: Any) -> str:
    return getattr(getattr(rows, "info", None), "dataset_name", None) or "dataset"
