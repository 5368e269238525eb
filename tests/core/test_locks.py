"""Locks hold between processes, end with them, and are done without where there are none."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from msae.core.errors import BusyError, DiskError
from msae.core.leftovers import leftovers
from msae.core.locks import is_locked, locked, made_and_locked

HOLDER = """
import sys
from pathlib import Path
from msae.core.leftovers import leftovers
from msae.core.locks import locked
with locked(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder():
    """Starts a process that holds a lock on a folder until it is closed or killed."""
    started = []

    def start(folder: Path, kind: str) -> subprocess.Popen:
        command = [sys.executable, "-c", HOLDER, str(folder), kind]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("theirs", "ours", "excludes"),
    [
        ("exclusive", "exclusive", True),
        ("exclusive", "shared", True),
        ("shared", "exclusive", True),
        ("shared", "shared", False),
    ],
)
def test_who_excludes_whom(tmp_path, holder, theirs, ours, excludes):
    process = holder(tmp_path, theirs)
    assert is_locked(tmp_path)
    if excludes:
        with (
            pytest.raises(BusyError, match=f"another process is painting {tmp_path}: wait for it"),
            locked(tmp_path, shared=ours == "shared", doing="painting"),
        ):
            pass
    else:
        with locked(tmp_path, shared=True):
            pass
    process.kill()
    process.wait()
    assert not is_locked(tmp_path)
    with locked(tmp_path, shared=ours == "shared"):
        assert is_locked(tmp_path)


def test_the_loser_leaves_the_winners_folder(tmp_path):
    folder = tmp_path / "a" / "b"
    with made_and_locked(folder):
        with pytest.raises(BusyError), made_and_locked(folder):
            pass
        assert folder.is_dir()
        (folder / "result").touch()
    assert (folder / "result").is_file()


def test_what_was_made_and_stays_empty_goes(tmp_path):
    with pytest.raises(RuntimeError), made_and_locked(tmp_path / "a" / "b"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    with made_and_locked(tmp_path / "a"):
        pass
    assert (tmp_path / "a").is_dir(), "it was there before"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "x", tmp_path / ("n" * 300)):
        with pytest.raises(DiskError), made_and_locked(path):
            pass


def test_a_folder_replaced_while_the_lock_was_awaited_is_not_taken_for_locked(tmp_path, monkeypatch):
    folder, flock = tmp_path / "run", fcntl.flock
    folder.mkdir()

    def replaced_meanwhile(descriptor, kind):
        if folder.exists() and not (tmp_path / "old").exists():
            folder.rename(tmp_path / "old")
            folder.mkdir()
        return flock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", replaced_meanwhile)
    with made_and_locked(folder):
        assert is_locked(folder) and not is_locked(tmp_path / "old")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EBADF])
def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch, number):
    def refuse(descriptor, kind):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.warns(UserWarning, match=f"the file system of {tmp_path} has no locks"), locked(tmp_path):
        pass
    (tmp_path / ".msae-codes-abcdef").mkdir()
    assert is_locked(tmp_path) and leftovers(tmp_path) == [], "whose it is cannot be told: it stays"


def test_another_fault_of_the_disk_is_none_of_these(tmp_path, monkeypatch):
    def refuse(descriptor, kind):
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(DiskError, match="input/output error"), locked(tmp_path):
        pass
