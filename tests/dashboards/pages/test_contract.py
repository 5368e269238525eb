"""Every panel and page that is listed: shows a real run, says what to run when its table is gone, and is shown.

The lists are those that the app, the export and notebooks show.
"""

from __future__ import annotations

import os
import re
import shutil

import pytest

from msae.sae import autoencoder
from msae_dashboards.address import Address
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages import FEATURE, PAGES, PANELS, Page, Panel
from msae_dashboards.pages.panel import Visit, show
from msae_dashboards.view.html import write

LATENTS = (0, 20, 127)


@pytest.fixture(scope="module")
def tables(demo_run) -> RunTables:
    return RunTables(demo_run.path)


def addresses(page: Page, tables: RunTables) -> list[Address]:
    """Where a page begins, and the states that an export of some latents holds."""
    start = [Address(page=page.name, latent=latent) for latent in (LATENTS if page is FEATURE else (None,))]
    return [*start, *page.states(page.visit(tables, start[0]), range(128))]


def test_names_are_distinct() -> None:
    assert len({panel.name for panel in PANELS}) == len(PANELS)
    assert len({page.name for page in PAGES}) == len(PAGES)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_a_panel_shows_a_real_run(panel: Panel, tables: RunTables) -> None:
    for latent in LATENTS if panel.about == "latent" else (None,):
        page = write(show(panel, Visit(tables=tables, address=Address(latent=latent))))
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
        page = write(show(panel, Visit(tables=tables, address=Address(latent=3))))
        if panel.needs and not (damage == "half-written" and panel.needs == ("metrics",)):
            assert "msae " in page and str(path) in page and 'class="notice"' in page, damage


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name or "overview")
def test_a_page_shows_all_the_panels_it_lists_and_no_other(page: Page, tables: RunTables) -> None:
    shown = set()
    for address in addresses(page, tables):
        body, status = page.render(tables, address)
        assert status == 200, address
        shown |= set(re.findall(r'class="panel ([\w-]+)"', write(body)))
    ours = {panel.name for panel in page.panels}
    assert ours <= shown
    assert shown & {panel.name for panel in PANELS} == ours


def test_a_page_that_shows_a_panel_it_does_not_list_is_told_so(tables: RunTables) -> None:
    visit = PAGES[0].visit(tables, Address())
    with pytest.raises(ValueError, match="does not list the panel 'logits'"):
        visit.show(next(panel for panel in PANELS if panel.name == "logits"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name or "overview")
def test_a_page_renders_from_its_address_alone(page: Page, tables: RunTables) -> None:
    latent = 5 if page is FEATURE else None
    for query in ({}, {"level": "1"}, {"level": "nonsense", "q": "\x00<", "density_min": "nan"}):
        body, status = page.render(tables, Address(page=page.name, latent=latent, query=query))
        assert status == 200 and write(body).count("<h1") == 1 and body.full_title


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name or "overview")
def test_no_page_loads_an_sae(page: Page, demo_run, monkeypatch) -> None:
    def loaded(*_args: object, **_options: object) -> None:
        raise AssertionError("a page loaded an SAE")

    monkeypatch.setattr(autoencoder.SparseAutoencoder, "__init__", loaded)
    tables = RunTables(demo_run.path)
    for address in addresses(page, tables)[:3]:
        assert page.render(tables, address)[1] == 200


@pytest.mark.parametrize("name", ["feature", "tree", "splitting", "absorption"])
def test_a_latent_that_is_not_there_is_not_found(name: str, tables: RunTables) -> None:
    page = next(page for page in PAGES if page.name == name)
    body, status = page.render(tables, Address(page=name, latent=999_999))
    assert status == 404 and "0 to 127" in write(body)


def test_commands_that_are_suggested_name_the_run_as_it_is_called(tables: RunTables) -> None:
    for name in ("splitting", "compare"):
        page = next(page for page in PAGES if page.name == name)
        assert f"msae train --independent {tables.title}<" in write(page.render(tables, Address(page=name))[0])
