"""Imports go to lower layers only, siblings never import each other, and some libraries have one importer."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "msae").rglob("*.py")) + sorted((ROOT / "dashboards").rglob("*.py"))

LAYERS = {
    "core": 0,
    "runs": 1,
    "sae": 2,
    "data": 2,
    "activations": 3,
    "demo": 3,
    "training": 4,
    "analysis": 4,
    "nested": 5,
    "plots": 6,
    "studies": 7,
    "msae_dashboards": 7,
    "cli": 8,
    "__main__": 9,
}

ONLY_IMPORTERS = {
    "transformer_lens": ("msae/activations/transformer_lens.py",),
    "wandb": ("msae/training/loggers.py",),
    "plotly": ("msae/plots/", "dashboards/"),
    "faiss": ("msae/nested/items.py",),
    "dash": ("dashboards/msae_dashboards/app/grid.py",),
    "dash_ag_grid": ("dashboards/msae_dashboards/app/grid.py",),
}

SAE_MAY_IMPORT = {"torch", "einops", "safetensors", "jaxtyping", "numpy", "numba", "triton"}

# Used when they are there, with another way when they are not.
OPTIONAL = {"triton"}


def part_of(path: Path) -> str:
    """The layer a file belongs to: ``sae`` for msae/sae/codes.py, ``cli`` for msae/cli/, ``msae`` for its root."""
    parts = path.relative_to(ROOT).parts
    if parts[0] == "dashboards":
        return parts[1]
    return Path(parts[1]).stem if parts[1] != "__init__.py" else "msae"


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import in a file, those inside functions and under TYPE_CHECKING included."""
    package = [*path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            # `from msae import sae` names the package `msae.sae`.
            names = [f"{module}.{name.name}" for name in node.names] if module == "msae" else [module]
            yield from ((node.lineno, name) for name in names)


def own_layer(dotted: str) -> str | None:
    """The layer an import reaches into, or None when it is another distribution's."""
    head, *rest = dotted.split(".")
    if head == "msae_dashboards":
        return head
    return (rest[0] if rest else "msae") if head == "msae" else None


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def edges() -> list[tuple[Path, int, str]]:
    return [(path, line, name) for path in SOURCES for line, name in imports_of(path)]


def test_every_file_belongs_to_a_layer() -> None:
    unknown = {part_of(path) for path in SOURCES} - LAYERS.keys() - {"msae"}
    assert not unknown, f"no layer is given for {sorted(unknown)}: add it to LAYERS and to docs/architecture.md"


def test_imports_go_to_lower_layers_only(edges: list[tuple[Path, int, str]]) -> None:
    wrong = []
    for path, line, name in edges:
        mine, theirs = part_of(path), own_layer(name)
        if theirs is None or mine == theirs or mine == "msae":
            continue
        if theirs == "msae" and mine in ("cli", "__main__", "msae_dashboards"):
            continue
        if theirs not in LAYERS or LAYERS[theirs] >= LAYERS[mine]:
            wrong.append(f"{relative(path)}:{line} imports {name}")
    assert not wrong, "imports that go up or sideways:\n" + "\n".join(wrong)


def test_heavy_libraries_have_one_importer(edges: list[tuple[Path, int, str]]) -> None:
    wrong = []
    for path, line, name in edges:
        allowed = ONLY_IMPORTERS.get(name.split(".")[0])
        if allowed and not relative(path).startswith(allowed):
            wrong.append(f"{relative(path)}:{line} imports {name}; only {' and '.join(allowed)} may")
    assert not wrong, "\n".join(wrong)


def test_the_sae_layer_needs_little(edges: list[tuple[Path, int, str]]) -> None:
    wrong = []
    for path, line, name in edges:
        head = name.split(".")[0]
        if part_of(path) == "sae" and head not in SAE_MAY_IMPORT | {"msae"} | sys.stdlib_module_names:
            wrong.append(f"{relative(path)}:{line} imports {name}")
    assert not wrong, f"msae/sae/ imports {sorted(SAE_MAY_IMPORT)} and nothing else:\n" + "\n".join(wrong)


def test_every_library_imported_is_declared(edges: list[tuple[Path, int, str]]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements = project["dependencies"] + extras["dashboards"] + extras["retrieval"]
    declared = {requirement.split(">")[0].replace("-", "_") for requirement in requirements} | {"faiss"}
    wrong = []
    for path, line, name in edges:
        head = name.split(".")[0]
        if head not in declared | OPTIONAL | {"msae", "msae_dashboards"} | sys.stdlib_module_names:
            wrong.append(f"{relative(path)}:{line} imports {name}")
    assert not wrong, "imported, but no dependency in pyproject.toml:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("msae/sae/codes.py", "import torch.nn", ["torch.nn"]),
        ("msae/sae/codes.py", "from msae import plots, sae", ["msae.plots", "msae.sae"]),
        ("msae/sae/codes.py", "def f():\n    from msae.plots.bars import bar", ["msae.plots.bars"]),
        ("msae/sae/codes.py", "from ..plots import bars", ["msae.plots"]),
        ("msae/sae/kernels/cpu.py", "from . import products", ["msae.sae.kernels"]),
    ],
)
def test_the_reader_sees_imports_of_every_kind(
    path: str, source: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(source)
    assert [name for _, name in imports_of(file)] == expected
