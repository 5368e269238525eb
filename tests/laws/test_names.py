"""A file's name says what it answers: no base name occurs twice in msae/."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2] / "msae"

MIRRORS = {"cli": "the commands", "plots": "what is drawn"}
"""Their files are named after what they mirror."""


def test_no_base_name_twice() -> None:
    by_name = defaultdict(list)
    for path in sorted(ROOT.rglob("*.py")):
        own = path.relative_to(ROOT)
        if path.name != "__init__.py" and own.parts[0] not in MIRRORS:
            by_name[path.name].append(own.as_posix())
    twice = {name: paths for name, paths in by_name.items() if len(paths) > 1}
    assert not twice, f"give each a name of its own: {twice}"
