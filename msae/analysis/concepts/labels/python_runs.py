"""The parts of a text that are Python: runs of whole lines that parse, found in excerpts that start and end anywhere.

An excerpt may begin inside a method, a bracket or a docstring, and end in the middle of a statement. A run that begins
indented is parsed inside blocks made up for it (``if 1:``), one for each indentation outside its own that it comes back
to. What such a run cannot know of its first lines, such as whether they are inside a class, `Run.known` leaves open.
"""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
from itertools import takewhile

MIN_LINES = 3
MOST_LINES = 2_000
MOST_CUTS = 8


@dataclass(frozen=True, kw_only=True)
class Run:
    """Lines [first, stop) of a text, counted from 0. `source` is what was parsed to `tree`: `header` made-up lines,
    then these. From line `known` on, everything around a line is part of the run too."""

    first: int
    stop: int
    known: int
    header: int
    source: list[str]
    tree: ast.Module


def python_runs(lines: list[str]) -> list[Run]:
    """The runs of at least three lines, and at most 2,000, that parse, greedily from the top. `lines`: with their ends.

    A line that no run can begin with is passed over, and so is what a run is cut before.
    """
    out: list[Run] = []
    first = 0
    while first < len(lines):
        run = _run_from(lines, first)
        if run is not None:
            out.append(run)
        first = run.stop if run is not None else first + 1
    return out


def _run_from(lines: list[str], first: int) -> Run | None:
    """The run that begins with line `first`, cut before the first line that does not parse."""
    if not lines[first].strip():
        return None
    stop = min(len(lines), first + MOST_LINES)
    header = _blocks_around(lines[first:stop])
    for _ in range(MOST_CUTS):
        if stop - first < MIN_LINES:
            return None
        source = header + lines[first:stop]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of invalid escapes, in text that is not ours
                tree = ast.parse("".join(source))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            stop = min(stop - 1, first + (getattr(error, "lineno", None) or 1) - 1 - len(header))
            continue
        indented = takewhile(lambda line: not line.strip() or _indent(line) > 0, lines[first:stop])
        known = first + len(list(indented)) if header else first
        return Run(first=first, stop=stop, known=known, header=len(header), source=source, tree=tree)
    return None


def _blocks_around(lines: list[str]) -> list[str]:
    """A line ``if 1:`` for each indentation outside that of the first line that a later line comes back to, and 0."""
    least = _indent(lines[0])
    outer = {0} if least else set()
    for line in lines:
        if line.strip() and _indent(line) < least:
            least = _indent(line)
            outer.add(least)
    return [" " * indent + "if 1:\n" for indent in sorted(outer)]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
