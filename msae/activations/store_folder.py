"""The folder a harvest writes to: free or gone on with, locked, and at its end put in the place of what it replaces."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msae.activations.manifest import DOCUMENTS, HOLDOUT, MANIFEST, MEAN, PROGRESS, Manifest, holds_store
from msae.core.errors import StoreError
from msae.core.leftovers import is_leftover, leftovers, remove, sweep
from msae.core.locks import locked
from msae.core.replacing import REPLACED, beside, put_in_place, recover
from msae.runs.writing import writing

DOING = "harvesting into"
_SHARDS = {"acts", "tokens", "contexts"}


@contextlib.contextmanager
def harvested_into(
    path: Path, stores: Sequence[str], *, replace: bool, goes_on: Callable[[Path], bool]
) -> Iterator[Path]:
    """The folder to write to, locked: `path`, or (`replace`) one beside it that takes its place at the end.

    `stores`: the folders below it that will hold one each (``""``: the folder itself). `goes_on`: whether what a
    stopped harvest left in a folder is of the settings asked for now; with `replace`, what is not is begun anew.

    Everything that can be refused is refused first: `BusyError` when another process writes to the folder or
    (`replace`) reads from it, `StoreError` when something that is no store lies there, or a finished one and not
    `replace`. With an error the store that was to be replaced is as it was.
    """
    path = path.resolve()
    if not (replace and path.is_dir() and any(path.iterdir())):
        with writing(path, doing=DOING):
            recover(path)
            _sweep_stores(path)
            _require_free(path, stores)
            yield path
        return
    with writing(path, doing="harvesting into or reading from"), contextlib.ExitStack() as readers:
        for folder in (entry for entry in path.rglob("*") if entry.is_dir()):
            readers.enter_context(locked(folder, doing="reading from"))
        recover(path)
        _require_replaceable(path, stores)
        new = beside(path)
        with writing(new, doing=DOING):
            if not goes_on(new):
                clear(new)
            _sweep_stores(new)
            yield new
            _require_replaceable(path, stores)
            put_in_place(path)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep the store at `path` from being replaced meanwhile; `BusyError` when it is being written or replaced."""
    try:
        with locked(path, shared=True, doing="harvesting into or replacing"):
            yield
    except FileNotFoundError as error:
        raise StoreError(f"there is no activation store at {path} any more") from error


def _require_replaceable(path: Path, stores: Sequence[str]) -> None:
    """Raise `StoreError` unless what lies at `path` is what `stores` are to replace, and nothing else."""
    hooks = [store.name for store in stores_in(path) if store.name != HOLDOUT]
    if not hooks and not holds_store(path):
        raise StoreError(f"{path} is not an activation store: it is not replaced, and nothing was changed")
    foreign = sorted(str(entry.relative_to(path)) for entry in path.rglob("*") if not _is_ours(entry))
    foreign += [hook for hook in hooks if hook not in stores]
    if foreign:
        raise StoreError(
            f"{path} also holds {', '.join(foreign[:3])}, which the new store would not have: move it away. Nothing "
            "was changed"
        )


def stores_in(path: Path) -> list[Path]:
    """The stores, one a hook, that lie directly in `path`."""
    if not path.is_dir():
        return []
    return [entry for entry in sorted(path.iterdir()) if entry.is_dir() and holds_store(entry)]


def left_behind(path: Path) -> list[Path]:
    """What killed processes left in a finished store and beside it: cleared by the next harvest there."""
    folders = [path, *(entry for entry in path.rglob("*") if entry.is_dir())]
    return [*([beside(path)] if beside(path).exists() else []), *(entry for f in folders for entry in leftovers(f))]


def clear(root: Path) -> None:
    """Remove what an abandoned harvest wrote below `root`, its progress last."""
    ours = [entry for entry in root.rglob("*") if entry.is_file() and _is_ours(entry) and entry != root / PROGRESS]
    for entry in (*ours, root / PROGRESS):
        remove(entry)
    for folder in sorted((entry for entry in root.rglob("*") if entry.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _sweep_stores(root: Path) -> None:
    for folder in (root, *(entry for entry in root.rglob("*") if entry.is_dir())):
        sweep(folder)


def _require_free(path: Path, stores: Sequence[str]) -> None:
    """Raise `StoreError` when a finished store, or something that is no store, lies where one is to be."""
    if (path / PROGRESS).is_file():
        return
    for folder in (path / store for store in stores):
        if (folder / MANIFEST).is_file():
            raise StoreError(
                f"a finished store already exists at {folder} ({Manifest.read(folder)[0].n_rows:,} rows). Open it with "
                "ActivationStore.open, choose another folder, or replace it with replace=True."
            )
        if folder.is_dir() and any(folder.iterdir()):
            raise StoreError(f"{folder} is not empty and is no activation store: choose another folder")


def _is_ours(entry: Path) -> bool:
    if entry.is_dir():
        return True
    ours = entry.name in {MANIFEST, PROGRESS, MEAN, DOCUMENTS, REPLACED} or is_leftover(entry)
    return ours or (entry.suffix == ".safetensors" and entry.stem.split("-")[0] in _SHARDS)


__all__ = ["clear", "harvested_into", "held", "left_behind", "stores_in"]
