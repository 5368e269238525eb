"""A small export of the small run."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

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
def few_files(demo_run: msae.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as `exported`, in few files."""
    return export_html(demo_run.path, tmp_path_factory.mktemp("few") / "html", features=CHOSEN, few_files=True)


@pytest.fixture(scope="session")
def exported(demo_run: msae.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an export of four features."""
    return export_html(demo_run.path, tmp_path_factory.mktemp("export") / "html", features=CHOSEN)
