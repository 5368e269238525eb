"""What a killed process leaves, and clearing it away: temporary files, scratch folders.

Everything temporary has a hidden name of a known form and lies in a folder that its writer has locked, or is a folder
that its writer has locked. So whoever gets the lock knows that it is nobody's any more.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import weakref
from pathlib import Path

from msae.core.errors import BusyError, DiskError
from msae.core.locks import is_locked, locked

SCRATCH = ".msae-"
_TEMPORARY = re.compile(r"\.(.+\.\d+\.tmp|tmp\w{6}|tmp\w+\.safetensors)")
"""`core.files` names them ``.NAME.PID.tmp``; safetensors ``.tmpXXXXXX``."""


def is_leftover(path: Path) -> bool:
    """Whether the name is one that only an unfinished write has."""
    return path.name.startswith(SCRATCH) or _TEMPORARY.fullmatch(path.name) is not None


def leftovers(folder: Path) -> list[Path]:
    """What lies in `folder` itself, by such names, and has no living writer's lock; by name."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    return [entry for entry in entries if is_leftover(entry) and not (entry.is_dir() and is_locked(entry))]


def sweep(folder: Path) -> None:
    """Remove the leftovers in `folder`. The caller has locked it, so its temporary files are nobody's."""
    for entry in leftovers(folder):
        if entry.is_dir():
            _remove_dead(entry)
        else:
            remove(entry)


def remove(path: Path) -> None:
    """Remove a file or a folder if it can be; what cannot stays, and is tried again by the next."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _remove_dead(folder: Path) -> None:
    """Remove a scratch folder unless somebody holds it; while it is removed nobody else can."""
    if is_locked(folder):
        return
    with contextlib.suppress(BusyError, DiskError, FileNotFoundError), locked(folder):
        remove(folder)


class Scratch:
    """A folder for large temporary files in `parent` (None: the system's), locked as long as this object is held.

    It is removed with the object. Those that killed processes left in the same parent are removed when one is made.
    Raises `DiskError` when it cannot be made.
    """

    def __init__(self, name: str, parent: Path | None = None) -> None:
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        prefix = f"{SCRATCH}{name}-"
        for entry in parent.glob(f"{prefix}*"):
            _remove_dead(entry)
        self.path, lock = _made_and_locked(prefix, parent)
        self._end = weakref.finalize(self, _end, self.path, lock)

    def close(self) -> None:
        """Remove it now."""
        self._end()


def _made_and_locked(prefix: str, parent: Path) -> tuple[Path, contextlib.ExitStack]:
    while True:
        try:
            path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        except OSError as error:
            raise DiskError(f"could not make a scratch folder in {parent}: {error}") from error
        stack = contextlib.ExitStack()
        with contextlib.suppress(FileNotFoundError, BusyError):  # another process sweeps it before it is locked
            stack.enter_context(locked(path))
            return path, stack


def _end(path: Path, lock: contextlib.ExitStack) -> None:
    shutil.rmtree(path, ignore_errors=True)
    lock.close()
