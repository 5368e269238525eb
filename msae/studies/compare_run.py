"""A run compared with others: the tables of `compare_runs` in ``results/compare/NAME``, for the dashboard."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from msae.core.errors import ConfigError
from msae.core.files import write_json
from msae.runs.writing import results_written_to
from msae.studies.compare import compare_runs
from msae.studies.comparison import Comparison
from msae.training import Run

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def compare_with(
    run: Run,
    others: Sequence[str | Path] = (),
    *,
    name: str | None = None,
    store: str | Path | None = None,
    ce: bool = True,
    n_tokens: int = 65_536,
    eval_tokens: int = 8_192,
    progress: bool = True,
    force: bool = False,
) -> tuple[Comparison, Path]:
    """Compare `run` with `others` (runs, saved SAEs, or folders of runs that count as one series) and write the tables.

    Without `others` it is the run's independent baselines. `name`: of the comparison, by default the others' names.
    Returns the comparison and its folder. The other settings are those of `compare_runs`. Raises `ConfigError` when
    there is nothing to compare with or the name is none for a folder, and what `compare_runs` raises.
    """
    paths = [Path(other) for other in others] or [run.folder.independent]
    if not others and not paths[0].is_dir():
        raise ConfigError(
            f"{run.path} has no independent baselines: name a run to compare it with, or train them "
            f"(msae train --independent {run.path})"
        )
    names = [path.resolve().name for path in paths]
    called = name or "-".join(names)
    if not _NAME.fullmatch(called):
        raise ConfigError(
            f"name = {called!r}: expected letters, digits, dots, dashes and underscores; give one (--name)"
        )
    own = run.path.resolve().name
    members: dict[str, Run | Path] = {own: run, **_distinct(own, names, paths)}
    folder = run.folder.comparison(called)
    with results_written_to(folder.path, doing="comparing in") as out:
        found = compare_runs(
            members,
            store,
            ce=ce,
            n_tokens=n_tokens,
            eval_tokens=eval_tokens,
            progress=progress,
            force=force,
        )
        found.write(out)
        groups = list(dict.fromkeys(found.overlap["a"]))
        content = {"own": own, "saes": groups, "n_tokens": found.n_tokens, "notes": list(found.notes)}
        write_json(out / folder.about.name, content)
    return found, folder.path


def _distinct(own: str, names: Sequence[str], paths: Sequence[Path]) -> dict[str, Path]:
    """The paths by their names, those that another has too with their folder's before."""
    twice = {name for name in names if [own, *names].count(name) > 1}
    called = [
        f"{path.resolve().parent.name}-{name}" if name in twice else name
        for name, path in zip(names, paths, strict=True)
    ]
    again = [name for name in called if [own, *called].count(name) > 1]
    if again:
        raise ConfigError(
            f"two of what is compared are called {again[0]!r}: rename a folder, or compare them in Python"
        )
    return dict(zip(called, paths, strict=True))
