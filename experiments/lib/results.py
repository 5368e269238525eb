"""What a study or a benchmark found, as JSON beside it: every file of results is written and read here.

README.md shows the form. Figures are a flat list, so a table is a choice of rows: by `name` and by what `case` says.
"""

from __future__ import annotations

import datetime
import json
import shlex
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from experiments.lib.machine import kind_of_machine, versions
from msae.core.config import from_dict, require
from msae.core.files import write_atomically

ROOT = Path(__file__).parents[2]
FOLDERS = {room: ROOT / "experiments" / room / "results" for room in ("studies", "benchmarks")}
Case = Mapping[str, str | int | float]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number: what it is called, what it was measured on, and how sure it is.

    `case`: what sets this number apart from others of its name, such as ``{"SAE": "nested", "L0": 8}``.
    `value`: None where it could not be measured. `n`: how many measurements it is the mean or median of; `of`: of what
    these are. `sd`, `se`: standard deviation and error over them; `low`, `high`: quartiles; `interval`: where it lies
    in 95% of bootstrap draws. `chance`: what the null gives. `each`: the measurements themselves, where they are few.
    """

    name: str
    value: float | None
    unit: str
    n: int
    of: str = "seeds"
    case: dict[str, str | int | float] = field(default_factory=dict)
    sd: float | None = None
    se: float | None = None
    low: float | None = None
    high: float | None = None
    interval: tuple[float, float] | None = None
    chance: float | None = None
    each: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require(bool(self.name and self.unit and self.of), "figure", self, "a name, a unit, and what n counts")
        require(isinstance(self.n, int) and self.n >= 1, "n", self.n, "a count of at least 1")
        for name in ("value", "sd", "se", "low", "high", "chance"):
            number = getattr(self, name)
            require(number is None or _is_number(number), name, number, "a number or nothing")
        for key, value in self.case.items():
            require(isinstance(value, str) or _is_number(value), f"case[{key!r}]", value, "a text or a number")
        require(not self.each or len(self.each) == self.n, "each", self.each, f"n = {self.n} numbers, or none")


@dataclass(frozen=True, kw_only=True)
class Results:
    """All figures of one study or benchmark, and what it takes to get them again.

    `recorded_from`: where the figures were published when this file was written from them; nothing when the command
    wrote it. `machine`: families only. `settings`: what the command's options and defaults came to.
    """

    question: str
    command: str
    date: str
    versions: dict[str, str]
    machine: dict[str, str | int]
    seeds: tuple[int, ...]
    settings: dict[str, Any]
    figures: tuple[Figure, ...]
    recorded_from: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(bool(self.figures), "figures", self.figures, "at least one")
        require(self.command.startswith(("python ", "make ")), "command", self.command, "one that can be typed")
        datetime.date.fromisoformat(self.date)
        seen = [(figure.name, *sorted(figure.case.items())) for figure in self.figures]
        twice = {str(key) for key in seen if seen.count(key) > 1}
        require(not twice, "figures", sorted(twice), "one figure for a name and a case")

    def figure(self, name: str, **case: str | int | float) -> Figure:
        """The one figure of that name whose case holds `case`."""
        found = [f for f in self.figures if f.name == name and case.items() <= f.case.items()]
        require(len(found) == 1, "figure", (name, case), f"one that is there; {len(found)} are")
        return found[0]


def record(
    path: Path,
    script: str,
    *,
    question: str,
    figures: Iterable[Figure],
    seeds: Sequence[int] = (),
    settings: Mapping[str, Any] | None = None,
    packages: tuple[str, ...] = (),
    threads: int | None = None,
    notes: tuple[str, ...] = (),
) -> Results:
    """Write to `path` what `script` (its ``__file__``), as it was called, found."""
    results = Results(
        question=question,
        command=command_line(Path(script)),
        date=datetime.date.today().isoformat(),
        versions=versions(packages),
        machine=kind_of_machine(threads),
        seeds=tuple(seeds),
        settings=dict(settings or {}),
        figures=tuple(figures),
        notes=notes,
    )
    write_results(path, results)
    print(f"Every number is in {path}.", file=sys.stderr)
    return results


def write_results(path: Path, results: Results) -> None:
    """Write one file of results, a figure a line."""
    values = _without_nothing(results)
    figures = [json.dumps(figure, ensure_ascii=False, allow_nan=False) for figure in values.pop("figures")]
    head = json.dumps(values, ensure_ascii=False, allow_nan=False, indent=2).removesuffix("\n}")
    text = f'{head},\n  "figures": [\n    ' + ",\n    ".join(figures) + "\n  ]\n}\n"
    write_atomically(path, lambda temporary: _write(temporary, text))


def read_results(path: Path) -> Results:
    """The results in a file; a field that is missing, unknown or of the wrong kind raises `ConfigError`."""
    values = json.loads(path.read_text(encoding="utf-8"))
    figures = tuple(from_dict(Figure, figure) for figure in values.pop("figures", []))
    return from_dict(Results, {**values, "figures": figures})


def command_line(script: Path) -> str:
    """How the running script was called, from the root of the repository, without where the results go."""
    words = sys.argv[1:]
    if "--results" in words:
        at = words.index("--results")
        words = words[:at] + words[at + 2 :]
    return shlex.join(["python", script.resolve().relative_to(ROOT).as_posix(), *words])


def mean_of(name: str, values: Sequence[float], unit: str, case: Case, *, of: str = "seeds") -> Figure:
    """The mean of a few measurements, their standard deviation, and each of them."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    mean, each = statistics.fmean(values), tuple(values)
    return Figure(name=name, value=mean, sd=sd, unit=unit, n=len(values), of=of, case=dict(case), each=each)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _without_nothing(value: Any) -> Any:
    """Plain JSON values, without the optional fields that say nothing."""
    if isinstance(value, Figure | Results):
        items = {f.name: _without_nothing(getattr(value, f.name)) for f in fields(value)}
        kept = {"value"} if isinstance(value, Figure) else {"seeds", "settings"}
        return {name: item for name, item in items.items() if name in kept or item not in (None, [], {})}
    if isinstance(value, Mapping):
        return {str(key): _without_nothing(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nothing(item) for item in value]
    return str(value) if isinstance(value, Path) else value
