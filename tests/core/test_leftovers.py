"""What dead processes left is cleared; what the living hold is not."""

from __future__ import annotations

import os

import pytest

from msae.core.files import write_text
from msae.core.leftovers import Scratch, is_leftover, leftovers, sweep
from msae.core.locks import is_locked


@pytest.mark.parametrize(
    ("name", "left"),
    [
        (".levels.json.4711.tmp", True),
        (".tmpa8Xw2q", True),
        (".msae-codes-ab12cd34", True),
        (".gitignore", False),
        (".tmp", False),
        (".notes.tmp", False),
        ("levels.json", False),
        (".run.new", False),
    ],
)
def test_names_of_ours(tmp_path, name, left):
    assert is_leftover(tmp_path / name) is left


def test_what_a_killed_write_leaves_has_such_a_name(tmp_path):
    child = os.fork()
    if child == 0:
        path = tmp_path / "levels.json"
        os.replace = None  # killed before the rename
        type(path).replace = lambda *_: os._exit(9)
        write_text(path, "half")
    os.waitpid(child, 0)
    (found,) = tmp_path.iterdir()
    assert is_leftover(found) and leftovers(tmp_path) == [found]
    (tmp_path / ".mine").touch()
    sweep(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [".mine"]


def test_a_scratch_folder_goes_with_its_owner(tmp_path):
    scratch = Scratch("codes", tmp_path)
    (scratch.path / "values").write_bytes(b"x" * 100)
    assert is_locked(scratch.path) and leftovers(tmp_path) == []
    sweep(tmp_path)
    other = Scratch("codes", tmp_path)
    assert (scratch.path / "values").exists(), "the living keep theirs"
    path = scratch.path
    del scratch
    assert not path.exists() and other.path.exists()
    other.close()
    assert list(tmp_path.iterdir()) == []


def test_the_next_scratch_folder_clears_what_a_killed_process_left(tmp_path):
    child = os.fork()
    if child == 0:
        held = Scratch("codes", tmp_path)
        (held.path / "values").write_bytes(b"x" * 100)
        os._exit(9)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 1
    other = Scratch("other", tmp_path)
    assert len(list(tmp_path.iterdir())) == 2, "of another kind, and so not this one's to clear"
    scratch = Scratch("codes", tmp_path)
    assert set(tmp_path.iterdir()) == {other.path, scratch.path}
