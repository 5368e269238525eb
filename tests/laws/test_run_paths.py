"""Only `msae/runs/layout.py` spells a path inside a run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from msae.runs.layout import ComparisonFolder, RunFolder

ROOT = Path(__file__).parents[2]
LAYOUT = ROOT / "msae" / "runs" / "layout.py"
SOURCES = [
    file
    for part in ("msae", "dashboards/msae_dashboards")
    for file in sorted((ROOT / part).rglob("*.py"))
    if file != LAYOUT
]

RUN = RunFolder(Path())
FILES = {
    path.name
    for path in (
        *(RUN.config, RUN.metrics, RUN.levels, RUN.levels_figure),
        *(RUN.analysis, RUN.rate_figure, RUN.concepts_figure, ComparisonFolder(Path()).about),
    )
}
FOLDERS = {path.name for path in (RUN.sae, RUN.resume, RUN.results, RUN.independent, RUN.export)} | {"compare"}
NAMES_A_STREAM = {"torch_stream", "numpy_stream", "stream_seed"}
TAKES_A_PATH = {"joinpath", "glob", "rglob", "with_name", "Path"}

# The config.json that these read or write is a language model's, or another library's.
A_MODELS_CONFIG = {
    "msae/activations/model_files.py",
    "msae/activations/fingerprint.py",
    "msae/demo/__init__.py",
    "msae/sae/formats/dictionary_learning.py",
    "msae/sae/formats/gemma_scope.py",
}


def problems(source: str) -> list[str]:
    """The names of a run's files, and of its folders where they are a part of a path, each as ``line: name``."""
    tree = ast.parse(source)
    in_paths = {id(constant) for node in ast.walk(tree) for constant in _used_as_path(node)}
    streams = {id(name) for node in ast.walk(tree) if _called(node) in NAMES_A_STREAM for name in node.args}
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or " " in node.value:
            continue
        if id(node) in streams or node.value == "text/html":
            continue
        parts = node.value.strip("\n").split("/")
        names = FILES | (FOLDERS if id(node) in in_paths or len(parts) > 1 else set())
        found += [f"{node.lineno}: {part}" for part in parts if part in names]
    return found


def _used_as_path(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        yield from (node.left, node.right)
    if isinstance(node, ast.Call) and _called(node) in TAKES_A_PATH:
        yield from node.args


def _called(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_other_file_spells_a_path_in_a_run(path: Path) -> None:
    found = problems(path.read_text(encoding="utf-8"))
    if path.relative_to(ROOT).as_posix() in A_MODELS_CONFIG:
        found = [line for line in found if not line.endswith(": config.json")]
    assert found == [], "take it from msae.runs.layout.RunFolder"


@pytest.mark.parametrize(
    "source",
    [
        'run.path / "results"',
        'FILES = {"levels": "results/levels.json"}',
        'CONFIG = "config.json"',
        'f"results/{name}.parquet"',
        'path.glob("*/comparison.json")',
        'path.joinpath("independent", str(width))',
        'metrics = "metrics.jsonl"',
    ],
)
def test_each_way_of_spelling_one_is_seen(source: str) -> None:
    assert problems(source)


@pytest.mark.parametrize(
    "source",
    [
        'page = "compare"',
        'measured["sae"]',
        'raise E(f"{path} has no config.json: train it first")',
        "x / 2",
        'torch_stream(seed, "sae/init")',
        '"""Writes results/levels.json and more."""',
    ],
)
def test_words_that_are_no_paths_pass(source: str) -> None:
    assert problems(source) == []
