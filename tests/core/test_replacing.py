"""A kill at any moment of a replacement leaves the old or the new, whole, under its name; the next writer clears up."""

from __future__ import annotations

from pathlib import Path

import pytest

from msae.core import replacing
from msae.core.errors import DiskError
from msae.core.files import write_json
from msae.core.locks import made_and_locked
from msae.core.replacing import READY, beside, files_replaced, finish_files, let_go, put_in_place, recover


def folder(path: Path, content: str) -> Path:
    (path / "inner").mkdir(parents=True)
    for name in ("a", "b", "inner/c"):
        (path / name).write_text(content)
    return path


def content(path: Path) -> set[str]:
    return {file.read_text() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("at_one_stroke", [True, False])
def test_a_folder_is_replaced_at_whatever_moment_the_kill_comes(tmp_path, monkeypatch, killed_after, at_one_stroke):
    if not at_one_stroke:
        monkeypatch.setattr(replacing, "_exchanged", lambda a, b: False)
    step, seen = 0, set()
    while True:
        place = tmp_path / str(step)
        target = folder(place / "run", "old")
        folder(beside(target), "new")
        came = killed_after(step, lambda: put_in_place(target))  # noqa: B023 (called at once)
        with made_and_locked(target):
            recover(target)
        assert content(target) in ({"old"}, {"new"}), step
        seen |= content(target)
        left = {entry.name for entry in place.iterdir()}
        assert left <= ({"run", ".run.new"} if content(target) == {"old"} else {"run"}), (step, left)
        if content(target) == {"old"}:
            assert content(beside(target)) == {"new"}, "what was finished is not lost"
            put_in_place(target)
            assert content(target) == {"new"} and {entry.name for entry in place.iterdir()} == {"run"}
        if not came:
            break
        step += 1
    assert seen == {"old", "new"} and step > 5


def test_a_kill_between_the_two_renames_can_itself_be_killed(tmp_path, killed_after):
    for step in range(20):
        target = folder(tmp_path / str(step) / "run", "old")
        (target / ".replaced").touch()
        folder(beside(target), "new")
        target.rename(target.with_name(".run.old"))
        target.mkdir()
        came = killed_after(step, lambda: recover(target))  # noqa: B023 (called at once)
        recover(target)
        assert content(target) == {"new"} and len(list(target.rglob("*"))) == 4, step
        assert [entry.name for entry in target.parent.iterdir()] == ["run"], step
    assert not came, "the last goes to the end"


def test_two_folders_that_both_hold_something_are_left_to_their_owner(tmp_path):
    target = folder(tmp_path / "run", "old")
    folder(beside(target), "new")
    target.rename(tmp_path / ".run.old")
    folder(target, "mine")
    with pytest.raises(DiskError, match="both hold a, b, inner: move one of the two away"):
        recover(target)
    assert content(target) == {"mine"} and content(beside(target)) == {"new"}


def test_a_folder_takes_a_free_place(tmp_path):
    folder(beside(tmp_path / "run"), "new")
    put_in_place(tmp_path / "run")
    assert content(tmp_path / "run") == {"new"}


def test_a_place_that_cannot_be_taken_stays_as_it_is(tmp_path, monkeypatch):
    target = folder(tmp_path / "run", "old")
    folder(beside(target), "new")

    def refuse(*names):
        raise OSError("device busy")

    monkeypatch.setattr(replacing, "_exchanged", refuse)
    with pytest.raises(DiskError, match="is finished but could not take the place of .*device busy"):
        put_in_place(target)
    assert content(target) == {"old"} and content(beside(target)) == {"new"}
    assert not (target / ".replaced").exists()


def replace_files(place: Path) -> None:
    with files_replaced(place) as aside:
        for name in ("a", "c", "d"):
            (aside / name).write_text("new")
        let_go(aside, ["b"])


def test_files_are_replaced_together_at_whatever_moment_the_kill_comes(tmp_path, killed_after):
    step, seen = 0, []
    while True:
        place = folder(tmp_path / str(step), "old")
        came = killed_after(step, lambda: replace_files(place))  # noqa: B023 (called at once)
        finish_files(place)
        files = {file.name: file.read_text() for file in place.iterdir() if file.is_file()}
        old, new = {"a": "old", "b": "old"}, {"a": "new", "c": "new", "d": "new"}
        assert files in (old, new), (step, files)
        seen.append(files == new)
        if not came:
            break
        step += 1
    assert True in seen and False in seen and seen == sorted(seen)


def test_a_list_from_somebody_else_reaches_no_file_outside(tmp_path):
    place = folder(tmp_path / "place", "old")
    (tmp_path / "precious").write_text("mine")
    (place / READY).mkdir()
    names = ["../precious", str(tmp_path / "precious"), "..", ".", "", "inner/c", None, 7, ["a"], "a"]
    write_json(place / READY / ".gone.json", names)
    finish_files(place)
    assert (tmp_path / "precious").read_text() == "mine" and (place / "inner" / "c").is_file()
    assert not (place / "a").exists() and (place / "b").is_file()


def test_an_error_leaves_the_files_and_nothing_beside_them(tmp_path):
    folder(tmp_path / "place", "old")
    with pytest.raises(RuntimeError), files_replaced(tmp_path / "place") as aside:
        (aside / "a").write_text("half")
        raise RuntimeError
    assert content(tmp_path / "place") == {"old"}
    assert sorted(entry.name for entry in (tmp_path / "place").iterdir()) == ["a", "b", "inner"]
