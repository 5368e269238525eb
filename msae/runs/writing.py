"""Who may write where in a run, and clearing away what killed processes left there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from msae.core.leftovers import leftovers, remove, sweep
from msae.core.locks import locked, made_and_locked
from msae.core.replacing import READY, beside, files_replaced, finish_files
from msae.runs.layout import RunFolder


@contextlib.contextmanager
def writing(folder: Path, *, doing: str = "writing to") -> Iterator[None]:
    """Be the only writer to `folder`, made if need be: a run, or a folder in a run. What dead writers left is swept.

    Every run that it lies in is locked against being replaced meanwhile, and against being trained. Raises `BusyError`
    when another process is at work there, `DiskError` when the folder cannot be made.
    """
    with contextlib.ExitStack() as held:
        for run in enclosing_runs(folder):
            held.enter_context(locked(run.path, shared=True, doing="training or replacing"))
            _sweep_state(run)
        held.enter_context(made_and_locked(folder, doing=doing))
        finish_files(folder)
        own = RunFolder(folder)
        for place in (folder, own.resume, own.sae):
            sweep(place)
        _sweep_state(own)
        yield


@contextlib.contextmanager
def results_written_to(folder: Path, *, doing: str = "analyzing") -> Iterator[Path]:
    """Where to write files that replace those of the same names in `folder`: all of them, or with an error none.

    Raises as `writing` does.
    """
    with writing(folder, doing=doing), files_replaced(folder) as aside:
        yield aside


def enclosing_runs(folder: Path) -> list[RunFolder]:
    """The runs that `folder` lies in, the outermost first."""
    above = [RunFolder(path) for path in folder.resolve().parents]
    return [run for run in reversed(above) if run.is_run]


def left_behind(run: RunFolder) -> list[Path]:
    """What killed processes left in a run, by path: swept by whoever writes there next."""
    folders = [run.path, run.sae, run.results, *(c.path for c in run.comparisons()), run.independent]
    found = [run.resume] if _is_dead_state(run) else leftovers(run.resume)
    found += [folder / READY for folder in folders if (folder / READY).is_dir()]
    found += [beside(target) for target in (run.path, run.export) if beside(target).is_dir()]
    return sorted([*found, *(entry for folder in folders for entry in leftovers(folder))])


def _sweep_state(run: RunFolder) -> None:
    """A finished run needs no state to go on from; it is left when a kill comes between finishing and removing it."""
    if _is_dead_state(run):
        remove(run.resume)


def _is_dead_state(run: RunFolder) -> bool:
    return run.is_finished and run.resume.exists()
