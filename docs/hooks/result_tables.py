"""Tables of the results pages, from the JSON files of results: ``python docs/hooks/result_tables.py`` writes them anew.

In a page, a comment says which figures a table shows, and the table follows:

    <!-- results: studies/forest
    columns: {nested: {SAE: Matryoshka}, plain: {SAE: Unnested}}
    rows: {F1: {figure: F1 per latent, best: high}}
    -->

    | | nested | plain |
    ...

    <!-- end -->

A cell is the figure that its row and its column describe together: `figure` is its name, or a list of names for several
in a cell; what is no option is part of the case. Options stand with a row or a column, or with the table for all:
`digits` after the point; `show`: any of percent, times (×), signed, chance, alone (without deviation or error); `best`:
low or high, the cell of a row that is bold. A cell without such a figure is empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from experiments.lib.results import Figure, Results, read_results

ROOT = Path(__file__).parents[2]
TABLE = re.compile(r"(<!-- results: (\S+)\n(.*?)-->\n)(.*?)(<!-- end -->)", flags=re.DOTALL)
OPTIONS = ("figure", "digits", "show", "best")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The figures of a cell, and how each is written."""

    figures: tuple[Figure | None, ...]
    digits: Sequence[int]
    show: Sequence[str]

    @classmethod
    def of(cls, results: Results, described: Mapping[str, Any]) -> Cell:
        """The cell of a row and a column."""
        case = {key: value for key, value in described.items() if key not in OPTIONS}
        figures = tuple(_figure(results, name, case) for name in _list(described["figure"]))
        digits, show = (_each(described.get(*option), len(figures)) for option in (("digits", 3), ("show", "")))
        return cls(figures=figures, digits=digits, show=show)

    @property
    def value(self) -> float | None:
        """Of the first figure."""
        return self.figures[0].value if self.figures[0] else None

    def __str__(self) -> str:
        parts = zip(self.figures, self.digits, self.show, strict=True)
        return ", ".join(_text(figure, digits, show) for figure, digits, show in parts if figure)


def pages() -> list[Path]:
    """The pages that hold such tables."""
    everything = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in everything if TABLE.search(page.read_text(encoding="utf-8"))]


def filled(text: str) -> str:
    """`text` with every table made anew."""
    return TABLE.sub(lambda found: f"{found[1]}\n{table(found[2], yaml.safe_load(found[3]))}\n\n{found[5]}", text)


def table(name: str, shown: Mapping[str, Any]) -> str:
    """The Markdown of one table, of the results ``experiments/ROOM/results/STUDY.json`` for a `name` ``ROOM/STUDY``."""
    room, _, study = name.partition("/")
    results = read_results(ROOT / "experiments" / room / "results" / f"{study}.json")
    columns: Mapping[str, Mapping[str, Any]] = shown["columns"]
    common = {key: value for key, value in shown.items() if key not in ("columns", "rows")}
    lines = ["| | " + " | ".join(map(str, columns)) + " |", "|---" * (len(columns) + 1) + "|"]
    for title, row in shown["rows"].items():
        cells = [Cell.of(results, {**common, **row, **column}) for column in columns.values()]
        best = {**common, **row}.get("best", "")
        lines.append(f"| {title} | " + " | ".join(_written(cells, best)) + " |")
    return "\n".join(lines)


def _figure(results: Results, name: str, case: Mapping[str, Any]) -> Figure | None:
    found = [figure for figure in results.figures if figure.name == name and case.items() <= figure.case.items()]
    if len(found) > 1:
        raise LookupError(f"{name!r} with {case} is {len(found)} figures: say more of the case")
    return found[0] if found else None


def _written(cells: Sequence[Cell], best: str) -> list[str]:
    """The cells of a row; the best one is bold."""
    known = [cell.value for cell in cells if cell.value is not None]
    bold = {"low": min, "high": max}[best](known) if best and known else None
    return [f"**{cell}**" if bold is not None and cell.value == bold else str(cell) for cell in cells]


def _text(figure: Figure, digits: int, show: str) -> str:
    text = _number(figure.value, digits, show) + " ×" * ("times" in show)
    spread = figure.sd if figure.sd is not None else figure.se
    if spread is not None and "alone" not in show:
        text += f" ± {_number(spread, digits, show.replace('signed', ''))}"
    if figure.chance is not None and "chance" in show:
        text += f" ({_number(figure.chance, digits, show)})"
    return text


def _number(value: float | None, digits: int, show: str) -> str:
    """A number as the pages write it: no zero before the point, a true minus, thousands with a comma."""
    if value is None:
        return "–"
    sign = "+" if "signed" in show else ""
    number = f"{100 * value if 'percent' in show else value:{sign},.{digits}f}{'%' * ('percent' in show)}"
    return (number if "percent" in show else re.sub(r"^([+-]?)0\.", r"\1.", number)).replace("-", "−")


def _each(value: Any, n: int) -> list[Any]:
    return value if isinstance(value, list) else [value] * n


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


if __name__ == "__main__":
    for page in pages():
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
