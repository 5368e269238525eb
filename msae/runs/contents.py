"""What in a run folder is msae's own: everything else is its owner's, and is never removed with the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msae.core.leftovers import is_leftover
from msae.core.replacing import REPLACED, beside
from msae.runs.layout import EXPORT_MARK, RESULTS, SAE_FILES, TABLE_SUFFIX, WANDB, RunFolder

STATE_SUFFIX = ".safetensors"


def foreign(run: RunFolder) -> list[Path]:
    """What lies in the run and was not written by msae, relative to it: at most one entry a folder that is foreign."""
    return [path.relative_to(run.path) for path in _foreign(run)]


def _foreign(run: RunFolder) -> Iterator[Path]:
    for entry in _entries(run.path):
        if entry in (run.config, run.metrics, run.path / WANDB, run.wandb_id):
            continue
        if entry == run.resume:
            yield from (file for file in _entries(entry) if file.is_dir() or file.suffix != STATE_SUFFIX)
        elif entry == run.sae:
            yield from (file for file in _entries(entry) if file.is_dir() or file.name not in SAE_FILES)
        elif entry == run.results:
            yield from _foreign_results(run)
        elif entry == run.independent:
            for baseline in _entries(entry):
                yield from _foreign(RunFolder(baseline)) if _is_baseline(baseline) else [baseline]
        elif entry == beside(run.export) or (entry == run.export and (entry / EXPORT_MARK).is_file()):
            continue
        else:
            yield entry


def _foreign_results(run: RunFolder) -> Iterator[Path]:
    for entry in _entries(run.results):
        if entry == run.compare:
            for comparison in _entries(entry):
                files = _entries(comparison) if comparison.is_dir() else [comparison]
                about = run.comparison(comparison.name).about
                yield from (file for file in files if file != about and not _is_table(file))
        elif not _is_table(entry) and entry.name not in RESULTS:
            yield entry


def _is_table(path: Path) -> bool:
    return path.suffix == TABLE_SUFFIX and not path.is_dir()


def _is_baseline(path: Path) -> bool:
    return path.is_dir() and path.name.isdecimal()


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, but for what our own unfinished writes leave."""
    if not folder.is_dir():
        return []
    return [entry for entry in sorted(folder.iterdir()) if not is_leftover(entry) and entry.name != REPLACED]
