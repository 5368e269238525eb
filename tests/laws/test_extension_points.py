"""An extension point is one class and one list entry: nobody outside its folder asks which class it has.

`tests/sae/test_contract.py` holds what every entry of the lists must hold.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from msae.core.dtypes import DTYPE_NAMES
from msae.sae import ACTIVATION_FNS, ENCODERS, NESTINGS, ActivationFunction, Encoder, Nesting
from msae.sae.kernels import KERNELS, Kernel

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "msae").rglob("*.py")) + sorted((ROOT / "dashboards").rglob("*.py"))
FOLDERS = {
    "msae/sae/activation_fns": (ActivationFunction, ACTIVATION_FNS),
    "msae/sae/nesting": (Nesting, NESTINGS),
    "msae/sae/encoders": (Encoder, ENCODERS),
    "msae/sae/kernels": (Kernel, KERNELS),
}
HOME = {cls.__name__: folder for folder, (base, entries) in FOLDERS.items() for cls in (base, *entries.values())}


def questions(source: str) -> list[tuple[int, str]]:
    """Line and name of each extension class that a file tells objects apart by."""
    found = []
    for node in ast.walk(ast.parse(source)):
        asked: ast.AST | None = None
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            asked = node.args[1]
        elif isinstance(node, ast.MatchClass):
            asked = node.cls
        elif isinstance(node, ast.Compare) and any(sign in ast.unparse(node) for sign in ("type(", "__name__")):
            asked = node
        if asked is not None:
            found += [(asked.lineno, name) for part in ast.walk(asked) for name in _named(part) if name in HOME]
    return found


def _named(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("msae."):  # not torch's nn.Linear
        return [node.attr]
    return [node.id] if isinstance(node, ast.Name) else []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_only_its_own_folder_asks_for_an_extension_class(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    wrong = [f"{line}: {name}" for line, name in questions(path.read_text()) if not relative.startswith(HOME[name])]
    assert not wrong, f"{relative} tells {wrong} apart: let the class declare what is wanted"


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(fn, TopK)",
        "isinstance(fn, int | msae.ReLU)",
        "issubclass(cls, (str, Unnested))",
        "type(fn) is BatchTopK",
        "type(fn).__name__ == 'JumpReLU'",
        "match fn:\n    case FixedPrefixes():\n        pass",
    ],
)
def test_each_question_is_seen(source: str) -> None:
    assert len(questions(source)) == 1


def test_another_library_s_class_of_the_same_name_is_none_of_ours() -> None:
    assert not questions("isinstance(module, nn.Linear)")


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_class_in_a_folder_is_in_its_list(folder: str) -> None:
    base, entries = FOLDERS[folder]
    ours = {cls for cls in _subclasses(base) if cls.__module__.startswith(folder.replace("/", "."))}
    assert ours == set(entries.values())


@pytest.mark.parametrize("folder", FOLDERS)
def test_one_class_a_file(folder: str) -> None:
    base, entries = FOLDERS[folder]
    files = [cls.__module__ for cls in (base, *entries.values())]
    assert len(files) == len(set(files))


def _subclasses(cls: type) -> set[type]:
    return {each for sub in cls.__subclasses__() for each in (sub, *_subclasses(sub))}


def test_names_of_kernels_and_dtypes_stand_in_one_place() -> None:
    """No file lists them again: a list or a Literal of two of them or more, outside the home of each."""
    homes = {"msae/core/dtypes.py": set(DTYPE_NAMES), "msae/sae/kernels": set(KERNELS)}
    for path in SOURCES:
        relative = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict):
                items = node.keys if isinstance(node, ast.Dict) else node.elts
                said = {item.value for item in items if isinstance(item, ast.Constant)}
                for home, names in homes.items():
                    assert relative.startswith(home) or len(said & names) < 2, f"{relative}:{node.lineno} lists {said}"
