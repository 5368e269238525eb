"""A small export of the small run; that run with hostile text."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import msae
from msae_dashboards import export_html

CHOSEN = (3, 20, 21, 90)


class Page(HTMLParser):
    """What a file of an export refers to and shows."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.refers, self.classes, self.panels, self.bar, self.tags = path, [], [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.tags.append((tag, given))
        self.refers += [given[name] for name in ("href", "src") if given.get(name)]
        classes = (given.get("class") or "").split()
        if classes[:1] == ["panel"]:
            self.panels.append(classes[-1])
        if "nav-link" in classes:
            self.bar.append(given["href"])


def pages_of(folder: Path) -> dict[str, Page]:
    """Every page of an export, by its path there."""
    return {path.relative_to(folder).as_posix(): Page(path) for path in sorted(folder.rglob("*.html"))}


@pytest.fixture(scope="session")
def exported(demo_run: msae.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an export of four features."""
    return export_html(demo_run.path, tmp_path_factory.mktemp("export") / "html", features=CHOSEN)


HOSTILE = (
    "<script>window.stolen = 1</script>",
    '"><img src=x onerror="window.stolen = 1">',
    "</script><script>window.stolen = 1</script><!--",
    "' onmouseover='window.stolen = 1",
    "\u202eright to left\u202c",
    "\u200b\u200d\ufeff",
    "👩‍👩‍👧",
    "עברית",
    "x" * 10_000,
)
TEXTS = {"top_tokens", "token", "context_tokens", "document", "explanation"}


@pytest.fixture(scope="session")
def hostile_run(demo_run: msae.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small run with every text in its tables replaced by another that tries to break out."""
    path = tmp_path_factory.mktemp("hostile") / "run"
    shutil.copytree(demo_run.path, path)
    for file in (path / "results").glob("*.parquet"):
        table = pq.read_table(file)
        for name in TEXTS & set(table.column_names):
            values = [_hostile(value) for value in table[name].to_pylist()]
            kind = pa.list_(pa.string()) if pa.types.is_list(table.schema.field(name).type) else pa.string()
            table = table.set_column(table.column_names.index(name), name, pa.array(values, kind))
        pq.write_table(table, file)
    return path


def _hostile(value: str | list[str] | None) -> str | list[str] | None:
    if isinstance(value, list):
        return [_hostile(part) for part in value]
    return None if value is None else HOSTILE[sum(value.encode()) % len(HOSTILE)]
