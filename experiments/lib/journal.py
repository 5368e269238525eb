"""A study's finished cells, a line each: a cell that has its line is not worked on again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar

Cell = TypeVar("Cell")


class Journal(Generic[Cell]):
    """Calls `work` for cells (dataclasses) and keeps what it returns; a line that a kill left unfinished is done again.

    A line is ``{"cell": ..., **work(cell)}``, all of it JSON.
    """

    def __init__(self, path: Path, work: Callable[[Cell], dict[str, Any]]) -> None:
        self.path, self.work = path, work
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole, encoding="utf-8")
        self.results = {_key(line["cell"]): line for line in map(json.loads, whole.splitlines())}

    def __call__(self, cell: Cell) -> dict[str, Any]:
        key = _key(asdict(cell))  # type: ignore[call-overload]
        if key not in self.results:
            # Through JSON, so that a line made now is what it will be when it is read again.
            text = json.dumps({"cell": asdict(cell), **self.work(cell)}, allow_nan=False)  # type: ignore[call-overload]
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text + "\n")
            self.results[key] = json.loads(text)
        return self.results[key]


def _key(cell: dict[str, Any]) -> str:
    return json.dumps(cell, sort_keys=True)
