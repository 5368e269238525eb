"""A decimal figure in the prose of a results page is one of the results files that the page shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOWN = re.compile(r"<!-- results: (\S+)")
NOT_PROSE = re.compile(r"<!--.*?-->|```.*?```|`[^`]*`|\]\([^)]*\)|^\|.*$", flags=re.DOTALL | re.MULTILINE)
FIGURE = re.compile(r"(?<![\w.,^·])(\d{0,3}(?:,\d{3})*\.\d+|\d+(?=%))(%?)(?![\w^]|\.\d)")
PAGES = [page for page in sorted((ROOT / "docs").rglob("*.md")) if SHOWN.search(page.read_text(encoding="utf-8"))]

ELSEWHERE = {
    "absorption.md": {
        "0.05", "0.49", "0.30", "0.28",  # published, Gemma-2-2B
        "19%", "12%", "16", "14%",  # ratios of two FVUs of the table
        "7.99", "8.04", "23.9", "24.1",  # the measured L0, in the file's notes
        "0.6",  # the F1 below which a probe is not used
        "4.3", "3.11", "2.13",  # versions
    },
    "evaluate.md": {"3.11", "2.13"},
    "hierarchy.md": {"0.9", "2.13", "2.16"},  # a setting, a version, k
    "training.md": {"0.02", "6.54.12", "0.1.0"},
    "performance.md": {"2.13", "6.54.12", "0.1.0", "3.11", "4.4", "0.34"},
}  # fmt: skip
"""Figures that no results file holds: settings, versions, what others published, and ratios of two figures shown."""


def numbers(values: object) -> set[float]:
    """Every number in a JSON value."""
    if isinstance(values, dict):
        return {n for value in values.values() for n in numbers(value)}
    if isinstance(values, list):
        return {n for value in values for n in numbers(value)}
    return {float(values)} if isinstance(values, int | float) and not isinstance(values, bool) else set()


def recorded(page: Path) -> set[float]:
    """The numbers of the results files that a page shows tables of."""
    found: set[float] = set()
    for name in SHOWN.findall(page.read_text(encoding="utf-8")):
        room, _, study = name.partition("/")
        file = ROOT / "experiments" / room / "results" / f"{study}.json"
        found |= numbers(json.loads(file.read_text(encoding="utf-8")))
    return found


def is_recorded(figure: str, percent: bool, known: set[float]) -> bool:
    digits = len(figure.partition(".")[2])
    value = float(figure.replace(",", ""))
    return any(round(abs(n) * (100 if percent else 1), digits) == value for n in known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_figure_in_prose_is_in_a_results_file(page: Path) -> None:
    prose, known = NOT_PROSE.sub(" ", page.read_text(encoding="utf-8")), recorded(page)
    stray = [
        figure + percent
        for figure, percent in FIGURE.findall(prose)
        if not is_recorded(figure, bool(percent), known) and figure + percent not in ELSEWHERE.get(page.name, set())
    ]
    assert not stray, f"{page.name}: {stray}"


def test_what_is_not_recorded_is_seen() -> None:
    assert is_recorded(".121", False, {0.12104}) and is_recorded("12", True, {0.12104})
    assert not is_recorded(".122", False, {0.12104})
    assert [a + b for a, b in FIGURE.findall("FVU .287, 16% more; 1.02 × at d^.33 and 3e-2")] == [".287", "16%", "1.02"]
