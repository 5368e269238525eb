"""analysis/ is laid out by question. Its rooms share `sample`, `tables` and `measurement`, and little else."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ANALYSIS = Path(__file__).parents[2] / "msae" / "analysis"
SHARED = {"sample", "tables", "rendering", "measurement"}
LISTS = {"all_measurements"}
"""Names every measurement there is, so it imports every room."""

SIDEWAYS = {
    ("concepts", "interventions"): "absorption through the model's own logit splices activations",
    ("levels", "interventions"): "what a level is worth to the model is measured with its reconstruction spliced in",
    ("levels", "hierarchy"): "a text is read at every level along the tree's threads",
    ("truth", "hierarchy"): "a known feature is split by the same partition as a latent is",
}


def imports_within(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name, below ``msae.analysis``, of what a file imports when it is imported itself."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("msae.analysis"):
            own = (node.module or "").removeprefix("msae.analysis").removeprefix(".")
            yield node.lineno, own
            for name in node.names:
                if (ANALYSIS.joinpath(*own.split(".")) / f"{name.name}.py").is_file():
                    yield node.lineno, f"{own}.{name.name}"


def room_of(dotted: str) -> str:
    return dotted.split(".")[0]


def files() -> list[tuple[Path, str]]:
    """Every file with its dotted name below ``msae.analysis``."""
    out = []
    for path in sorted(ANALYSIS.rglob("*.py")):
        parts = path.relative_to(ANALYSIS).with_suffix("").parts
        out.append((path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)))
    return out


def test_rooms_import_what_is_shared_and_what_the_list_names() -> None:
    wrong, used = [], set()
    for path, name in files():
        for line, other in imports_within(path):
            rooms = (room_of(name), room_of(other))
            if rooms[0] == rooms[1] or rooms[1] in SHARED or rooms[0] in LISTS:
                continue
            used.add(rooms)
            if rooms not in SIDEWAYS:
                wrong.append(f"{path.relative_to(ANALYSIS)}:{line} imports {other}")
    assert not wrong, "sideways imports that SIDEWAYS does not name:\n" + "\n".join(wrong)
    assert used == SIDEWAYS.keys(), f"named and not needed: {SIDEWAYS.keys() - used}"


def test_what_is_shared_imports_no_room() -> None:
    wrong = [
        f"{path.relative_to(ANALYSIS)}:{line} imports {other}"
        for path, name in files()
        for line, other in imports_within(path)
        if room_of(name) in SHARED and room_of(other) not in SHARED
    ]
    assert not wrong, "\n".join(wrong)


def test_there_is_no_import_circle() -> None:
    """Files, with imports inside functions and for type checkers: none leads back to where it began."""
    imported = defaultdict(set)
    names = {name for _, name in files()}
    for path, name in files():
        imported[name] |= {other for _, other in imports_within(path) if other in names and other != name}
    packages = {name for path, name in files() if path.name == "__init__.py"}
    done: set[str] = set()

    def circle(name: str, above: tuple[str, ...]) -> tuple[str, ...] | None:
        if name in above:
            return (*above[above.index(name) :], name)
        if name in done:
            return None
        found = next((c for other in sorted(imported[name]) if (c := circle(other, (*above, name)))), None)
        done.add(name)
        return found

    # A package names what it holds, and its files may name the package's other files: no circle of files.
    for package in packages:
        imported[package] = set()
    circles = [found for name in sorted(names) if (found := circle(name, ()))]
    assert not circles, " → ".join(circles[0])
