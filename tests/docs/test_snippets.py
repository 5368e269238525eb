"""What README and docs show runs: every Python block, every msae command, at tiny sizes, on the model that ships."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import types
from pathlib import Path

import pytest

from msae.analysis.tables import meanings, read_table, row_of
from msae.cli import main

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|bash)[^\n]*\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
TINY = [
    (r"n_tokens=200_000", "n_tokens=8_192"),
    (r"n_tokens=(8|4|1)00_000", "n_tokens=16_384"),
    (r"n_tokens=50_000(?=, path)", "n_tokens=4_000"),
    (r"--model gpt2 --hook blocks\.8", "--model demo --hook blocks.2"),
    (r"--tokens 2000000", "--tokens 6000"),
    (r"--tokens [25]0000(?= --out)", "--tokens 3000"),
    (r"--widths 256 1024 4096 --k 32", "--widths 16 64 --k 4 --tokens 8192"),
    (r"--widths 64 256 1024 --k 12", "--widths 16 64 --k 4 --tokens 8192"),
    (r"msae eval +(\S+)", r"msae eval \1 --tokens 500"),
    (r"msae analyze +(\S+)$", r"msae analyze \1 --tokens 4000 --concept-tokens 0"),
    (r"--tokens 50000$", "--tokens 4000 --concept-tokens 0"),
    (r"msae compare +(\S+)$", r"msae compare \1 --tokens 4000 --eval-tokens 500"),
    (r"compare_levels\(\"runs/quick\"\)", 'compare_levels("runs/quick", n_tokens=4_000, eval_tokens=500)'),
]
DEMO = "demo --harvest-tokens 6000 --train-tokens 20480 --widths 16 64 --k 6 --eval-tokens 500"


def blocks(page: Path) -> list[tuple[str, str]]:
    """The blocks of a page that run: language and text."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def commands(text: str) -> list[str]:
    """The commands of a bash block, without comments and prompts."""
    return [command for line in text.splitlines() if (command := line.partition("#")[0].strip())]


def tiny(text: str) -> str:
    for pattern, replacement in TINY:
        text = re.sub(pattern, replacement, text)
    return text


def run_msae(arguments: str) -> None:
    """`msae` with these arguments, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["msae", *shlex.split(arguments)])
        try:
            main()
        except SystemExit as stopped:
            assert not stopped.code, f"msae {arguments} ended with status {stopped.code}"


def run_python(text: str, names: dict[str, object]) -> None:
    exec(compile(text, "a block of the documentation", "exec"), names)


def ten_lines() -> str:
    return next(text for language, text in blocks(README) if language == "python")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages take as there: some text, the demo's run, and the run of the ten lines."""
    path = tmp_path_factory.mktemp("docs")
    (path / "corpus").mkdir()
    text = "".join(f"def f{i}(x, y={i}):\n    return x * {i} + y\n\n" for i in range(1500))
    (path / "corpus" / "a.txt").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        run_msae(DEMO)
        run_python(tiny(ten_lines()), {})
    return path


@pytest.fixture
def here(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `world` to work in."""
    path = tmp_path / "here"
    shutil.copytree(world, path, copy_function=os.link)
    monkeypatch.chdir(path)
    return path


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_page_runs(page: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if ten_lines() in page.read_text(encoding="utf-8"):
        shutil.rmtree(here / "runs/quick")
        shutil.rmtree(here / "acts/quick")
    module = types.ModuleType("a_page_of_the_documentation")  # dataclasses look their module up
    monkeypatch.setitem(sys.modules, module.__name__, module)
    elsewhere = set() if page == README else {text for _, text in blocks(README)}
    for language, text in blocks(page):
        if text in elsewhere:
            continue
        if language == "python":
            run_python(tiny(text), module.__dict__)
        else:
            for command in commands(text):
                program, _, arguments = command.removeprefix(".venv/bin/").partition(" ")
                if program == "msae":
                    other = arguments.startswith(("dashboard", "demo"))  # serves for ever; was run for `world`
                    run_msae(tiny(f"msae {arguments}").removeprefix("msae ") + " --help" * other)


def test_the_ten_lines_are_no_more_and_give_a_run(world: Path) -> None:
    assert len([line for line in ten_lines().splitlines() if line.strip()]) <= 10
    assert (world / "runs/quick/sae/cfg.json").is_file()


def test_the_page_of_tables_describes_what_the_demo_wrote(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "hooks")
    import declared_tables

    described = {table.name: table for tables in declared_tables.DECLARED.values() for table in tables}
    written = sorted((world / "runs/demo/results").glob("*.parquet"))
    assert len(written) >= 15
    for path in written:
        table, declared = read_table(path), described[path.stem]
        assert row_of(table.schema) == declared.row
        assert meanings(table) == {column.name: column.meaning for column in declared.columns}


def test_what_a_page_tells_to_make_or_run_is_there() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for made in re.findall(r"`make ([a-z-]+)", text) + re.findall(r"^make ([a-z-]+)", text, flags=re.MULTILINE):
            assert made in targets, f"{page.name}: make {made}"
        for script in re.findall(r"python (experiments/\S+\.py)", text):
            assert (ROOT / script).is_file(), f"{page.name}: {script}"


def test_the_readme_is_short() -> None:
    assert len(README.read_bytes()) <= 10_000


def test_the_readmes_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", README.read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target


def test_the_test_command_is_the_one_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make test" in ci and any("make test " in text for language, text in blocks(README) if language == "bash")
