from __future__ import annotations

import json
from pathlib import Path

from msae.core.files import write_json
from msae.runs.layout import RESULTS, RunFolder, compared_table, runs_in, tables_in


def test_every_path_lies_in_the_run_and_no_two_are_one():
    run = RunFolder(Path("runs/a"))
    paths = [value for name in dir(run) if not name.startswith("_") and isinstance(value := getattr(run, name), Path)]
    assert len(set(paths)) == len(paths) > 10
    assert all(path == run.path or run.path in path.parents for path in paths)


def test_what_is_told_of_results_is_what_lies_there():
    run = RunFolder(Path("run"))
    named = {run.levels, run.levels_figure, run.analysis, run.rate_figure, run.concepts_figure, run.compare}
    assert {path.name for path in named} == RESULTS.keys()
    assert {path.parent for path in named} == {run.results}


def test_baselines_come_by_width_and_only_where_a_run_was_begun(tmp_path):
    run = RunFolder(tmp_path)
    for name in ("64", "8", "notes", "16.5"):
        (run.independent / name).mkdir(parents=True)
        (run.independent / name / "config.json").write_text("{}")
    (run.independent / "1024").mkdir()
    assert list(run.baselines()) == [8, 64]
    assert run.baselines()[8].path == tmp_path / "independent" / "8"
    assert len(runs_in(run.independent)) == 4
    assert runs_in(tmp_path / "nowhere") == []


def test_a_comparison_counts_once_its_record_is_there(tmp_path):
    run = RunFolder(tmp_path)
    one = run.comparison("one")
    one.path.mkdir(parents=True)
    assert run.comparisons() == []
    write_json(one.about, {})
    assert run.comparisons() == [one] and one.name == "one"
    assert run.table(compared_table("one", "compare_pairs")) == one.table("compare_pairs")


def test_tables_come_by_name_without_what_a_kill_left(tmp_path):
    for name in ("tree.parquet", ".tree.parquet.7.tmp", "features.parquet", "levels.json"):
        (tmp_path / name).touch()
    assert list(tables_in(tmp_path)) == ["features", "tree"]


def test_a_run_is_one_from_its_config_on_and_finished_from_its_sae_on(tmp_path):
    run = RunFolder(tmp_path)
    assert not run.is_run
    run.config.write_text(json.dumps({}))
    assert run.is_run and not run.is_finished
    write_json(run.sae / "cfg.json", {})
    assert run.is_finished
