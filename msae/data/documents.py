"""Documents: a name and a text, from files, JSONL, Parquet, data sets or strings.

Every reader returns `Documents`: an iterable that gives the same documents, in the same order, each time it is
iterated. Where rows have columns, one may hold lists of token ids instead of text: data that is tokenized already.
What can be checked at once (that files exist, that a column exists) is checked when the reader is called.
"""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import CorpusError
from msae.core.hub import hub_as_reachable
from msae.data.text_files import matching_files, read_lines, read_text, shown

ROWS_AT_A_TIME = 1024
NAME_ONE = "Name one with text=..."
Nulls = Literal["refuse", "skip"]
"""What a row whose text is null is: an error, or left out and counted."""


@checked
@dataclass(frozen=True)
class Document:
    """One text with a name that finds it again (a path, a line of a file, a row of a data set).

    `token_ids`: of a document that is tokenized already, by the model's own tokenizer; its `text` is then not read.
    """

    name: str
    text: str
    token_ids: tuple[int, ...] | None = None


class Documents:
    """Documents that can be read again and again from the start; `description` says where they come from.

    `skipped`: how many were left out, for having no text, as the last reading went.
    """

    def __init__(self, description: str, read: Callable[[], Iterator[Document | None]]):
        self.description = description
        self.skipped = 0
        self._read = read

    def __iter__(self) -> Iterator[Document]:
        self.skipped = 0
        for document in self._read():
            if document is None:
                self.skipped += 1
            else:
                yield document

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


@checked
def string_documents(texts: Iterable[str], name: str = "text") -> Documents:
    """One document a string, named ``text[0]``, ``text[1]`` and so on.

    An iterator that could be read only once (a generator) is kept in memory.
    """
    if isinstance(texts, str):
        raise CorpusError(f"string_documents takes an iterable of strings, got one string: pass [{texts[:20]!r}...]")
    kept = list(texts) if isinstance(texts, Iterator) else texts

    def read() -> Iterator[Document | None]:
        for index, text in enumerate(kept):
            yield _document(f"{name}[{index}]", text, "item")

    return Documents(f"strings {name!r}", read)


@checked
def text_documents(*globs: str | Path, errors: str = "strict") -> Documents:
    """One document a UTF-8 file (``.gz`` and ``.zst`` too), for every file the `globs` match (``**`` crosses folders).

    The text is the file's, to the character: line ends stay as they are; a byte order mark is left out.
    Files come pattern by pattern, sorted within each; a file matched twice is read once. A file that is not UTF-8
    raises `CorpusError` when it is reached, unless `errors` is ``"replace"`` or ``"ignore"`` (as in `bytes.decode`).
    """
    paths = matching_files(globs)

    def read() -> Iterator[Document | None]:
        for path in paths:
            yield _document(shown(path), read_text(path, errors), "file")

    return Documents(_describe("text file", globs, paths), read)


@checked
def jsonl_documents(*globs: str | Path, text: str = "text", nulls: Nulls = "refuse") -> Documents:
    """One document a line of JSON (``.gz`` and ``.zst`` too), the text in the field `text`; named ``path:line``.

    Blank lines are left out, and with ``nulls="skip"`` lines in which the field is null, which are counted.
    """
    _require_nulls(nulls)
    paths = matching_files(globs)

    def read() -> Iterator[Document | None]:
        for path in paths:
            for number, line in enumerate(read_lines(path), start=1):
                if line.strip():
                    yield _json_document(f"{shown(path)}:{number}", line, text, nulls)

    return Documents(_describe("JSONL file", globs, paths), read)


def csv_documents(*globs: str | Path, text: str = "text", nulls: Nulls = "refuse") -> Documents:
    """One document a row of a CSV file (``.gz`` and ``.zst`` too), the text in the column `text`; named ``path#row``,
    rows counted from 0.

    CSV has no null: with ``nulls="skip"`` rows that are too short to have the column are left out, and counted.
    """
    _require_nulls(nulls)
    paths = matching_files(globs)
    for path in paths:
        columns = next(csv.reader(read_lines(path, newline="")), [])
        if text not in columns:
            raise CorpusError(f"{shown(path)} has no column {text!r}; it has {columns}. {NAME_ONE}")

    def read() -> Iterator[Document | None]:
        for path in paths:
            for row, values in enumerate(csv.DictReader(read_lines(path, newline=""))):
                yield _document(f"{shown(path)}#{row}", values[text], f"column {text!r}", nulls)

    return Documents(_describe("CSV file", globs, paths), read)


@checked
def parquet_documents(*globs: str | Path, text: str = "text", nulls: Nulls = "refuse") -> Documents:
    """One document a row of the column `text`, streamed row group by row group; named ``path#row``.

    With ``nulls="skip"`` rows without text are left out, and counted.
    """
    _require_nulls(nulls)
    paths = matching_files(globs)
    for path in paths:
        columns = _parquet_file(path).schema_arrow.names
        if text not in columns:
            raise CorpusError(f"{shown(path)} has no column {text!r}; it has {columns}. {NAME_ONE}")

    def read() -> Iterator[Document | None]:
        for path in paths:
            row = 0
            for batch in _parquet_file(path).iter_batches(batch_size=ROWS_AT_A_TIME, columns=[text]):
                for value in batch.column(0).to_pylist():
                    yield _document(f"{shown(path)}#{row}", value, f"column {text!r}", nulls)
                    row += 1

    return Documents(_describe("Parquet file", globs, paths), read)


@checked
def dataset_documents(
    dataset: Any, text: str = "text", split: str = "train", config: str | None = None, nulls: Nulls = "refuse"
) -> Documents:
    """One document a row of a Hugging Face data set.

    `dataset`: a hub name or local folder (opened with ``datasets.load_dataset(name, config, split=split)``, streaming),
    or an object of the `datasets` package: a `Dataset`, an `IterableDataset`, or a dictionary of splits.
    Documents are named ``name[split][row]``. With ``nulls="skip"`` rows without text are left out, and counted.
    """
    _require_nulls(nulls)
    rows = _open_dataset(dataset, split, config) if isinstance(dataset, str | Path) else dataset
    if isinstance(rows, Mapping):
        if split not in rows:
            raise CorpusError(f"the data set has no split {split!r}; it has {sorted(rows)}. Name one with split=...")
        rows = rows[split]
    if not isinstance(rows, Iterable):
        raise CorpusError(
            f"{rows!r:.80} is no data set: give a hub name, a folder, or an object of the datasets package"
        )
    columns = getattr(rows, "column_names", None)
    if columns is not None and text not in columns:
        raise CorpusError(f"the data set has no column {text!r}; it has {columns}. {NAME_ONE}")
    name = str(dataset) if isinstance(dataset, str | Path) else _dataset_name(rows)

    def read() -> Iterator[Document | None]:
        for index, row in enumerate(rows):
            if text not in row:
                raise CorpusError(f"{name}[{split}][{index}] has no field {text!r}; it has {sorted(row)}")
            yield _document(f"{name}[{split}][{index}]", row[text], f"field {text!r}", nulls)

    return Documents(f"data set {name}[{split}]", read)


def _describe(kind: str, globs: Iterable[str | Path], paths: list[Path]) -> str:
    return f"{len(paths)} {kind}{'s' * (len(paths) != 1)}: {', '.join(map(str, globs))}"


def _document(name: str, text: Any, where: str, nulls: Nulls = "refuse") -> Document | None:
    if text is None and nulls == "skip":
        return None
    if _are_token_ids(text):
        return Document(name, "", tuple(int(token_id) for token_id in text))
    if not isinstance(text, str):
        skip = ", or leave them out with nulls='skip'" if text is None else ""
        raise CorpusError(
            f"{name}: {where} holds {type(text).__name__} {text!r:.60}, neither text nor token ids. Remove or fill "
            f"such rows{skip}."
        )
    return Document(name, text)


def _are_token_ids(values: Any) -> bool:
    """Whether it is a list or an array of whole numbers from 0 on. NumPy's are `Integral` too, and are not imported."""
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__"):
        return False
    return all(_is_token_id(value) for value in values)


def _is_token_id(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= 0


def _require_nulls(nulls: str) -> None:
    require(nulls in ("refuse", "skip"), "nulls", nulls, "refuse or skip")


def _json_document(name: str, line: str, field: str, nulls: Nulls) -> Document | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{name} is not JSON ({error}): {line[:60]!r}") from error
    if not isinstance(row, dict):
        raise CorpusError(f"{name} holds {type(row).__name__}, expected an object with a field {field!r}")
    if field not in row:
        raise CorpusError(f"{name} has no field {field!r}; it has {sorted(row)}. {NAME_ONE}")
    return _document(name, row[field], f"field {field!r}", nulls)


def _parquet_file(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise CorpusError(f"could not read {path} as Parquet: {error}") from error


def _open_dataset(name: str | Path, split: str, config: str | None) -> Any:
    import datasets

    here = Path(name).expanduser().exists()
    try:
        with contextlib.nullcontext() if here else hub_as_reachable():
            return datasets.load_dataset(str(name), config, split=split, streaming=True)
    except Exception as error:  # the hub raises its own errors, connection errors and ValueErrors alike
        reason = str(error).strip().partition("\n")[0]
        raise CorpusError(
            f"could not open data set {str(name)!r} (config {config!r}, split {split!r}): {reason}. "
            "Check the names and the network, or read local files with jsonl_documents or parquet_documents."
        ) from error


def _dataset_name(rows: Any) -> str:
    return getattr(getattr(rows, "info", None), "dataset_name", None) or "dataset"
