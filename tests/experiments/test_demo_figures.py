"""The demo's figures are read from a run's own tables, whatever its widths."""

from __future__ import annotations

import pytest

from experiments.lib.results import read_results
from experiments.studies.demo import Settings, main
from msae.analysis.levels.level_table import LevelTable
from msae.analysis.tables import read_table
from msae.runs.layout import table_file
from msae.studies.analyze_run import analyze_run
from msae.studies.demo import DemoSettings, run_demo
from msae.studies.independent import train_independent
from msae.training import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("demo")
    tiny = DemoSettings(widths=(16, 48), k=4, harvest_tokens=6_000, train_tokens=20_480, eval_tokens=500)
    run, _ = run_demo(tiny, folder / "run", folder / "acts", progress=False)
    train_independent(run, progress=False)
    analyze_run(run, tokens=4_000, concept_tokens=0, progress=False)
    return run


def test_figures_are_those_of_the_tables(run: Run, tmp_path, capsys) -> None:
    main(Settings(run=run.path, results=tmp_path / "demo.json"))
    found = read_results(tmp_path / "demo.json")
    level = LevelTable.read(run.results / "levels.json").levels[1]
    assert (level.fvu, level.dead) == (found.figure("FVU", level=1).value, found.figure("dead", level=1).value)
    for sae, name in (("nested", "splitting_levels"), ("independent", "splitting_independent_levels")):
        (row,) = read_table(table_file(run.results, name)).to_pylist()
        edges = found.figure("edges", SAE=sae)
        assert (edges.value, edges.chance, edges.n) == (row["edges"], row["edges_by_chance"], row["n_parents"])
    widths = {figure.case["width"] for figure in found.figures if figure.name == "held-out FVU"}
    assert widths == {16, 48} and "FVU" in capsys.readouterr().out
