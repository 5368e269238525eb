"""Experiments depend on msae and never the reverse; each says how it is called, and stands in the index."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest

from experiments.lib.results import read_results, write_results

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
INDEX = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
SCRIPTS = sorted(path for path in EXPERIMENTS.rglob("*.py") if "__main__" in path.read_text(encoding="utf-8"))
NOTEBOOKS = sorted(EXPERIMENTS.rglob("*.ipynb"))
NOT_HERE = {"sae_lens", "dictionary_learning", "sae_bench", "sparsify", "sentence_transformers"}
"""Peers: each has an environment of its own."""


def name_of(path: Path) -> str:
    return path.relative_to(EXPERIMENTS).as_posix()


def imported(path: Path) -> set[str]:
    """The packages a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            names |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names


def test_nothing_of_the_packages_imports_an_experiment() -> None:
    sources = [*(ROOT / "msae").rglob("*.py"), *(ROOT / "dashboards" / "msae_dashboards").rglob("*.py")]
    assert len(sources) > 100
    assert not [path.relative_to(ROOT) for path in sources if "experiments" in imported(path)]


def test_every_folder_has_its_scripts() -> None:
    rooms = {"studies", "benchmarks", "peers", "lib", "notebooks"}
    assert {path.relative_to(EXPERIMENTS).parts[0] for path in (*SCRIPTS, *NOTEBOOKS)} == rooms
    assert {path.name for path in EXPERIMENTS.glob("*.py")} == {"__init__.py"}


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_script_says_how_it_is_called(path: Path, capsys, monkeypatch) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "the docstring is its help"
    if NOT_HERE & imported(path):
        pytest.skip("it runs in an environment of its own; its test calls it there")
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    monkeypatch.syspath_prepend(str(path.parent))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert not ended.value.code
    first = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).split(".")[0][:30]
    assert first in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("path", [*SCRIPTS, *NOTEBOOKS], ids=name_of)
def test_it_stands_in_the_index(path: Path) -> None:
    lines = [line for line in INDEX.splitlines() if f"({name_of(path)})" in line]
    assert lines, f"experiments/README.md has no line for {name_of(path)}: question, script, answer, minutes"


@pytest.mark.parametrize("path", [*NOTEBOOKS, ROOT / "README.md"], ids=lambda path: path.name)
def test_what_a_reader_copies_needs_public_names_alone(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    imports = re.findall(
        r"(?:from|import) (msae[\w.]*|msae_dashboards[\w.]*)", text.replace("import msae, msae.demo", "")
    )
    assert imports, "nothing of msae is imported"
    assert not set(imports) - {"msae", "msae.demo", "msae_dashboards"}


RECORDED = sorted(EXPERIMENTS.glob("*/results/*.json"))


def test_studies_and_benchmarks_have_their_results() -> None:
    needed = {path for path in SCRIPTS if path.parent.name == "studies" or path.name.startswith("bench_")}
    assert {path.parents[1] / f"{path.stem}.py" for path in RECORDED} == needed


@pytest.mark.parametrize("path", RECORDED, ids=name_of)
def test_results_are_in_the_form_that_tables_are_made_from(path: Path, tmp_path: Path) -> None:
    results = read_results(path)
    script = f"experiments/{path.parent.parent.name}/{path.stem}.py"
    assert script in results.command or results.command == "make bench"
    assert f'"{results.question}"' in (ROOT / script).read_text(encoding="utf-8") and results.question in INDEX
    assert "/home/" not in path.read_text(encoding="utf-8") and "/tmp/" not in path.read_text(encoding="utf-8")
    write_results(tmp_path / path.name, results)
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_every_link_of_the_index_is_there() -> None:
    links = re.findall(r"\]\(([^)]+)\)", INDEX)
    assert len(links) > 10
    assert not [link for link in links if not (EXPERIMENTS / link).exists()]
