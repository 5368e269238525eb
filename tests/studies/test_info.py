"""What `msae info` says of a run."""

from __future__ import annotations

from pathlib import Path

from msae.studies.info import describe


def test_a_store_out_of_reach_is_said_with_where_it_was_looked_for(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make.run(make.store(Path("acts")), Path("run"))
    assert "not there" not in describe(run.path)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    assert f"acts (not there, seen from {elsewhere})" in describe(tmp_path / "run")
