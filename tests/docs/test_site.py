"""The documentation builds without a warning, needs no network, and describes the tables that a run really has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from msae.cli.command import COMMANDS

pytest.importorskip("mkdocs")

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=[\"']?(https?:)?//", flags=re.IGNORECASE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_page_is_built(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs").with_suffix(".html")).is_file()


def test_no_page_loads_anything_from_a_network(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not LOADED.search(page.read_text(encoding="utf-8")), page.name


def test_every_public_name_has_its_place(site: Path) -> None:
    import msae
    import msae_dashboards

    for package in (msae, msae_dashboards):
        text = (site / "api" / f"{package.__name__}.html").read_text(encoding="utf-8")
        missing = [name for name in package.__all__ if f'id="{package.__name__}.{name}"' not in text]
        assert not missing


def test_every_command_is_described(site: Path) -> None:
    text = (site / "commands.html").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"usage: msae {command} " in text


def test_search_works_in_pages_opened_as_files(site: Path, browser) -> None:
    requested: list[str] = []
    context = browser.new_context()
    page = context.new_page()
    page.on("request", lambda request: requested.append(request.url))
    page.goto((site / "index.html").as_uri())
    page.locator(".md-search__input").fill("rate distortion")
    page.locator(".md-search-result__link").first.wait_for()
    context.close()
    assert requested and not [url for url in requested if url.startswith(("http:", "https:", "ws"))]


def test_tables_of_results_are_what_the_results_files_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "hooks")
    import result_tables

    assert len(result_tables.pages()) >= 4
    for page in result_tables.pages():
        text = page.read_text(encoding="utf-8")
        assert result_tables.filled(text) == text, f"{page.name}: python docs/hooks/result_tables.py writes it anew"


def test_a_figure_that_is_not_one_stops_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "hooks")
    import result_tables

    shown = {"columns": {"one": {"SAE": "Matryoshka"}}, "rows": {"precision": {"figure": "FVU"}}}
    assert result_tables.table("studies/forest", shown).endswith("| precision | .023 ± .002 |")
    shown["columns"]["one"] = {}
    with pytest.raises(LookupError, match="is 2 figures"):
        result_tables.table("studies/forest", shown)
