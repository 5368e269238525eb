"""Every panel and page that is listed: shows a real run, converts to HTML, says what to run when its table is gone."""

from __future__ import annotations

import os
import shutil

import pytest

from msae_dashboards.address import Address
from msae_dashboards.pages import PAGES, Page
from msae_dashboards.panels import PANELS, Panel, show
from msae_dashboards.tables import RunTables
from msae_dashboards.to_html import to_html

LATENTS = (0, 20, 127)


@pytest.fixture(scope="module")
def tables(demo_run) -> RunTables:
    return RunTables(demo_run.path)


def test_names_are_distinct() -> None:
    assert len({panel.name for panel in PANELS}) == len(PANELS)
    assert len({page.name for page in PAGES}) == len(PAGES)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_a_panel_shows_a_real_run_and_converts(panel: Panel, tables: RunTables) -> None:
    for latent in LATENTS if panel.about == "latent" else (None,):
        page = to_html(show(panel, tables, Address(page="", latent=latent)))
        assert f'class="panel {panel.name}"' in page
        assert 'class="notice"' not in page


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_a_panel_without_its_table_says_what_to_run(panel: Panel, demo_run, tmp_path) -> None:
    for damage in ("gone", "half-written"):
        path = tmp_path / damage
        shutil.copytree(demo_run.path, path, copy_function=os.link)
        tables = RunTables(path)
        for name in panel.needs:
            file = tables.path_of(name)
            whole = file.read_bytes()
            file.unlink()  # the link: what is written now is another file
            if damage == "half-written":
                file.write_bytes(whole[: len(whole) // 2])
        page = to_html(show(panel, tables, Address(page="", latent=3)))
        if panel.needs and not (damage == "half-written" and panel.needs == ("metrics",)):
            assert "msae " in page and str(path) in page and 'class="notice"' in page, damage


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name or "overview")
def test_a_page_renders_from_its_address_alone(page: Page, tables: RunTables) -> None:
    latent = 5 if page.name == "feature" else None
    for query in ({}, {"level": "1"}, {"level": "nonsense", "q": "\x00<", "density_min": "nan"}):
        tree = page.render(tables, Address(page=page.name, latent=latent, query=query))
        if page.exported:
            assert "<h1" in to_html(tree)


def test_commands_that_are_suggested_name_the_run_as_it_is_called(tables: RunTables) -> None:
    for name in ("splitting", "compare"):
        page = next(page for page in PAGES if page.name == name)
        assert f"msae train --independent {tables.title}<" in to_html(page.render(tables, Address(page=name)))
