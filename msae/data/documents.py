"""Documents: a name and a text, from files, JSONL, Parquet, data sets or strings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """One text with a name that finds it again (a path, a row of a data set, a module)."""

    name: str
    text: str
