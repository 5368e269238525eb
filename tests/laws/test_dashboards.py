"""The dashboards' own walls: one writer of HTML, Dash behind the grid alone, and lists that are the lists shown."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "dashboards" / "msae_dashboards"
SOURCES = sorted(ROOT.rglob("*.py"))
WRITER = ROOT / "view" / "html"
MARKUP = re.compile(r"(?<!/)</?[a-zA-Z][a-zA-Z0-9]*[\s/>=]|</?[a-z]+$")
MAY_MAKE_MARKUP = {"view/html", "app/grid.py", "app/app.py"}
"""The writer, and whoever hands it what Dash has written or an empty piece."""


def html_in(source: str) -> list[str]:
    """Texts of a file, but its docstrings, in which a tag stands."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, documented)
        for statement in node.body
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    }
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [text.value for text in texts if id(text) not in docstrings and MARKUP.search(text.value)]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", [path for path in SOURCES if WRITER not in path.parents], ids=relative)
def test_only_view_html_writes_html(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert [text for text in html_in(source) if not text.startswith("<script[^>]*")] == []  # a pattern to look for
    if not relative(path).startswith(tuple(MAY_MAKE_MARKUP)):
        assert "Markup(" not in source.replace('Markup("")', "")


@pytest.mark.parametrize("text", ["<div>", "</b>", "<a href=x>", "<br/>", "<script", "a < b <i>c"])
def test_html_in_a_text_is_seen(text: str) -> None:
    assert html_in(f'"""About <b>."""\nx = {text!r}') == [text]


@pytest.mark.parametrize("text", ["a < b", "x <- y", "p<0.05", "<", "⟨<⟩", "/assets/<name>"])
def test_other_texts_pass(text: str) -> None:
    assert html_in(f"x = {text!r}") == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_dash_stands_behind_the_grid_alone(path: Path) -> None:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add((node.module or "").split(".")[0])
    assert not modules & {"dash", "dash_ag_grid"} or relative(path) == "app/grid.py"
    assert not modules & {"flask", "werkzeug"} or relative(path).startswith("app/")


def test_every_page_and_panel_that_is_written_is_listed() -> None:
    """A file of a panel or page that no list names would be shown nowhere and tested by nothing."""
    from msae_dashboards.pages import PAGES, PANELS

    files = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "pages").rglob("*.py"))]
    assert sum("\nPANEL = Panel(" in text for text in files) == len(PANELS)
    assert sum("\nPAGE = Page(" in text for text in files) == len(PAGES)
