"""Nothing is pickled, and no draw comes from a global generator."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "msae").rglob("*.py")) + sorted((ROOT / "dashboards").rglob("*.py"))

PICKLING_MODULES = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}
GLOBAL_DRAWS = {"torch.manual_seed", "torch.seed", "torch.random.manual_seed", "np.random.seed", "numpy.random.seed"}


def problems(source: str) -> list[str]:
    """What a file does that msae does not do, each as ``line: what``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [name.name for name in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"{node.lineno}: imports {name}" for name in modules if name.split(".")[0] in PICKLING_MODULES]
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if called == "torch.save" or (called == "torch.load" and options.get("weights_only") != "True"):
            found.append(f"{node.lineno}: {called} pickles (or lacks weights_only=True)")
        if called in ("np.load", "numpy.load") and options.get("allow_pickle", "False") != "False":
            found.append(f"{node.lineno}: {called} with allow_pickle")
        if called in GLOBAL_DRAWS or called.startswith(("random.", "np.random.rand", "numpy.random.rand")):
            found.append(f"{node.lineno}: {called} draws from, or seeds, a global generator")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_pickle_and_no_global_generator(path: Path) -> None:
    assert problems(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from dill import dumps",
        "torch.save(x, path)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "torch.manual_seed(0)",
        "np.random.seed(0)",
        "np.random.randn(3)",
        "random.shuffle(order)",
    ],
)
def test_each_of_them_is_seen(source: str) -> None:
    assert len(problems(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "generator.manual_seed(3)",
        "np.random.default_rng(3)",
    ],
)
def test_the_right_ways_pass(source: str) -> None:
    assert problems(source) == []
