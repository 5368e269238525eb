"""The folder a run is trained into: free or gone on with, locked, and at last put in the place of what it replaces."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msae.core.config import to_dict
from msae.core.errors import CheckpointError, ConfigError
from msae.core.leftovers import is_leftover
from msae.core.replacing import beside, put_in_place, recover
from msae.runs.contents import foreign
from msae.runs.layout import RunFolder
from msae.runs.writing import writing
from msae.training.run import Run

DOING = "training, analyzing or replacing"
NOT_COMPARED = ("store.path", "msae_version", "sae.from.path")
"""What may differ when a run is continued: where the store and the SAE it started from lie, which msae began it."""


@contextlib.contextmanager
def trained_into(path: Path, config: dict[str, Any], *, replace: bool) -> Iterator[Run]:
    """The run to train, locked: in `path`, or (`replace`) in a folder beside it that takes its place at the end.

    Nothing is written yet: a run of other settings is refused first, and so is a folder that holds something else. With
    an error the run that was to be replaced is as it was; what was begun beside it is gone on with by the next call
    with these settings and `replace`, and dropped by one with others.

    Raises `ConfigError` when a finished run (without `replace`), another run, or anything else lies at `path`, and
    `BusyError` when another process is at work there.
    """
    path = path.resolve()
    if not (replace and path.is_dir() and any(path.iterdir())):
        with writing(path, doing=DOING):
            recover(path)
            yield _claimed(path, config)
        return
    with writing(path, doing=DOING):
        recover(path)
        require_replaceable(path)
        new = beside(path)
        with writing(new, doing=DOING):
            if not _goes_on(new, config):
                _empty(new)
            yield Run(new)
            require_replaceable(path)
            put_in_place(path)


def require_same_settings(run: Run, config: dict[str, Any]) -> None:
    """Raise `ConfigError` naming every setting in which `run` differs from `config` (`NOT_COMPARED` left out)."""
    if different := _differences(run, config):
        state = "a finished" if run.is_finished else "an unfinished"
        raise ConfigError(
            f"{run.path} holds {state} run with other settings ({', '.join(different)}). "
            "Use the settings it has, replace it with replace=True, or choose another folder."
        )


def require_free_or_run(path: Path) -> None:
    """Raise `ConfigError` when something that is no run lies at `path`."""
    if RunFolder(path).is_run or not path.exists():
        return
    if not path.is_dir() or any(not is_leftover(entry) for entry in path.iterdir()):
        raise ConfigError(f"{path} exists and is not a run: choose another folder, or empty this one")


def _claimed(path: Path, config: dict[str, Any]) -> Run:
    run = Run(path)
    require_free_or_run(path)
    if not run.folder.is_run:
        return run
    if run.is_finished:
        raise ConfigError(f"{path} holds a finished run. Replace it with replace=True, or choose another folder.")
    require_same_settings(run, config)
    return run


def require_replaceable(path: Path) -> None:
    """Raise `CheckpointError` unless what lies at `path`, if anything, is a run, `ConfigError` if there is more."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if found := foreign(Run.open(path).folder):
        named = ", ".join(str(entry) for entry in found[:3])
        raise ConfigError(f"{path} also holds {named}, which no run has: move it away. Nothing was changed")


def _goes_on(new: Path, config: dict[str, Any]) -> bool:
    """Whether what lies there is an unfinished run of these settings."""
    run = Run(new)
    try:
        return run.folder.is_run and not run.is_finished and not _differences(run, config)
    except CheckpointError:
        return False


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _differences(run: Run, config: dict[str, Any]) -> list[str]:
    # By way of the configs, so that a setting that did not exist when the run was begun stands as what it means when it
    # is not given.
    store = {**run.config["store"], "source": to_dict(run.source)}
    then = {**run.config, "store": store, "training": to_dict(run.train_config)}
    theirs, ours = _flat(then), _flat(config)
    keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key) and key not in NOT_COMPARED]
    return [f"{key} {theirs.get(key)!r} -> {ours.get(key)!r}" for key in sorted(keys)]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        path: leaf
        for key, item in value.items()
        for path, leaf in _flat(item, f"{prefix}.{key}" if prefix else key).items()
    }
