"""Locks on folders, so that no two processes write to one at once, and none replaces what another reads.

A lock is `flock` on the folder itself: it leaves no file behind and ends with its process, however that ends. Whoever
writes takes an exclusive lock, whoever only needs a folder to stay as it is a shared one. Where the file system has no
locks, a warning says so and work goes on.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from msae.core.errors import BusyError, DiskError

NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK, errno.EBADF, errno.EINVAL}
"""What Lustre mounted without flock, NFS and some FUSE file systems answer."""


@contextlib.contextmanager
def locked(folder: Path, *, shared: bool = False, doing: str = "writing to") -> Iterator[None]:
    """Hold a lock on `folder`, which must exist.

    Raises `BusyError` at once when another process (or another part of this one) holds one that excludes it; `doing`
    says what that other is then taken to be about.
    """
    descriptor = _locked_descriptor(folder, shared=shared)
    if descriptor is None:
        raise BusyError(f"another process is {doing} {folder}: wait for it, or stop it first")
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def made_and_locked(folder: Path, *, doing: str = "writing to") -> Iterator[None]:
    """`locked`, for a folder that is made if it is not there, with those above it; what is still empty at the end, and
    was made here, is removed again.

    Raises `DiskError` when it cannot be made, and as `locked` does.
    """
    for _ in range(8):
        # Somebody else may remove it, or a folder above it, between the two: then it is made once more.
        with contextlib.suppress(FileNotFoundError):
            made = _make(folder)
            descriptor = _locked_descriptor(folder, shared=False)
            break
    else:
        raise BusyError(f"{folder} is removed as often as it is made: another process is at work there")
    if descriptor is None:
        raise BusyError(f"another process is {doing} {folder}: wait for it, or stop it first")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            for empty in made:
                empty.rmdir()
        os.close(descriptor)


def is_locked(folder: Path) -> bool:
    """Whether somebody holds a lock on `folder`, of either kind; where there are no locks, nobody knows, and so yes."""
    try:
        descriptor = _locked_descriptor(folder, shared=False, without_locks=False)
    except (OSError, DiskError):
        return False
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def _flock(descriptor: int, kind: int) -> None:
    for _ in range(20):
        # Whoever only looks whether a lock is held (`is_locked`) holds it for microseconds.
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        time.sleep(0.005)
    fcntl.flock(descriptor, kind | fcntl.LOCK_NB)


def _make(folder: Path) -> list[Path]:
    """Make `folder`; returns what was made, the innermost first."""
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DiskError(f"cannot make the folder {folder}: {error}") from error
    return missing


def _locked_descriptor(folder: Path, *, shared: bool, without_locks: bool = True) -> int | None:
    """An open, locked descriptor of `folder`; None when somebody else's lock excludes it. Unlocked, with a warning,
    where there are no locks (None if not `without_locks`). `FileNotFoundError` when the folder is not there, or no
    longer once the lock is had."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DiskError(f"cannot open the folder {folder}: {error}") from error
    try:
        _flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        here, held = folder.stat(), os.fstat(descriptor)
        if (here.st_dev, here.st_ino) != (held.st_dev, held.st_ino):
            raise FileNotFoundError(errno.ENOENT, "it was replaced meanwhile", str(folder))
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            os.close(descriptor)
            if isinstance(error, FileNotFoundError):
                raise
            raise DiskError(f"cannot lock the folder {folder}: {error}") from error
        if not without_locks:
            os.close(descriptor)
            return None
        warnings.warn(
            f"the file system of {folder} has no locks ({error}): nothing keeps two processes from writing there at "
            "once, so see to it that only one does",
            stacklevel=4,
        )
    return descriptor
