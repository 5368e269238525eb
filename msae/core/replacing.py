"""Replacing things as a whole: what is there stays until what replaces it is finished.

A folder: the new one is made in a hidden folder beside the old one (`beside`), and then the two change places
(`put_in_place`), at one stroke where the system can do that. A kill at any moment leaves the old or the new one, whole,
under its name; `recover` clears away the rest.

Several files of a folder: the new ones are written aside (`files_replaced`); once all are there they take their places
one after the other, which whoever writes next finishes if a kill comes between (`finish_files`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from msae.core.errors import DiskError, MsaeError
from msae.core.files import read_json, write_json
from msae.core.leftovers import Scratch, remove

REPLACED = ".replaced"
"""The file that marks a folder as the one that goes."""
READY = ".ready"
"""The folder of files that are all written and on their way to their places."""
_GONE = ".gone.json"
_AT_FDCWD, _EXCHANGE = -100, 2


def beside(target: Path) -> Path:
    """Where what is to replace `target` is made."""
    return target.with_name(f".{target.name}.new")


def recover(target: Path) -> None:
    """Finish, or undo, a change of places that was killed. The caller has locked `target`, which may have been made for
    that."""
    new, old = beside(target), _old(target)
    if old.exists():  # killed between two renames, where the system has no exchange; only a finished one comes so far
        if new.exists():
            _move_into(target, new)
        elif not target.exists() or not any(target.iterdir()) or not (old / REPLACED).exists():
            _move_into(target, old)
    for gone in (old, new):
        _remove_replaced(gone)
    with contextlib.suppress(OSError):
        (target / REPLACED).unlink()


def _move_into(target: Path, folder: Path) -> None:
    """Let `target`, which may be there already, have what lies in `folder`; killed, it can be done again."""
    target.mkdir(exist_ok=True)
    remove(folder / REPLACED)
    entries = sorted(folder.iterdir())
    if twice := [entry.name for entry in entries if (target / entry.name).exists()]:
        raise DiskError(
            f"{target} and {folder}, which a kill kept from taking its place, both hold {', '.join(twice[:3])}: move "
            "one of the two away"
        )
    for entry in entries:
        entry.rename(target / entry.name)
    folder.rmdir()


def put_in_place(target: Path) -> None:
    """Let what was made `beside(target)`, finished, be `target`; what was there goes. Both are locked by the caller.

    Raises `DiskError`, with everything as it was, when the folders cannot be renamed.
    """
    new = beside(target)
    try:
        if not target.exists():
            new.rename(target)
            return
        (target / REPLACED).touch()
        if not _exchanged(new, target):
            _exchange_in_two_steps(new, target)
    except OSError as error:
        remove(target / REPLACED)
        raise DiskError(
            f"{new} is finished but could not take the place of {target} ({error}): rename it yourself, or call again"
        ) from error
    finally:
        _flush(target.parent)
    for gone in (new, _old(target)):
        _remove_replaced(gone)


def _exchange_in_two_steps(new: Path, target: Path) -> None:
    target.rename(_old(target))
    try:
        new.rename(target)
    except OSError:
        _old(target).rename(target)
        raise


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _remove_replaced(folder: Path) -> None:
    """Remove the folder if it is marked, the mark last, so that a kill leaves the rest marked."""
    if (folder / REPLACED).exists():
        for entry in folder.iterdir():
            if entry.name != REPLACED:
                remove(entry)
        remove(folder / REPLACED)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _exchanged(a: Path, b: Path) -> bool:
    """Whether the system let the two change places at one stroke (Linux: renameat2, macOS: renamex_np)."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(a), os.fsencode(b)
    if hasattr(libc, "renameat2"):
        return libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE) == 0
    if hasattr(libc, "renamex_np"):
        return libc.renamex_np(*names, _EXCHANGE) == 0
    return False


def _flush(folder: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


@contextlib.contextmanager
def files_replaced(folder: Path) -> Iterator[Path]:
    """A folder to write files to that replace those of the same names in `folder`: all of them, or with an error none.

    The caller has locked `folder`, and called `finish_files`.
    """
    aside = Scratch("files", folder)
    try:
        yield aside.path
        aside.path.rename(folder / READY)
    except OSError as error:
        raise DiskError(f"could not write to {folder}: {error}. Nothing was changed") from error
    finally:
        aside.close()
    finish_files(folder)


def let_go(aside: Path, names: Iterable[str]) -> None:
    """Of `files_replaced`: these files, of which there is no new one, go as well."""
    write_json(aside / _GONE, sorted(names))


def finish_files(folder: Path) -> None:
    """Let the files of `files_replaced` take their places, as far as a kill has not let them."""
    ready = folder / READY
    if not ready.is_dir():
        return
    with contextlib.suppress(MsaeError):
        for name in read_json(ready / _GONE, DiskError, expected=list):
            if _is_plain(name):
                (folder / name).unlink(missing_ok=True)
    for file in sorted(ready.iterdir()):
        if not file.name.startswith("."):
            file.replace(folder / file.name)
    remove(ready)
    _flush(folder)


def _is_plain(name: object) -> bool:
    """Whether it names a file of the folder itself: the list may come with somebody else's run."""
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & {"/", "\\", "\0"}
