"""The pages in a real browser. Each test also refuses console errors and requests that leave the machine."""

from __future__ import annotations

import re

import pytest
import torch

import msae
from msae_dashboards.address import Address
from msae_dashboards.pages import PAGES
from msae_dashboards.tables import RunTables
from tests.dashboards.conftest import serving

DRAWN = "[...document.querySelectorAll('.figure')].every(figure => figure.querySelector('.main-svg'))"


@pytest.fixture(scope="module")
def tables(demo_run) -> RunTables:
    return RunTables(demo_run.path)


def rows_shown(page) -> list[str]:
    """The latents in the grid, read in one go once their cells are there: a row comes before its cells, and may go."""
    cells = "[...document.querySelectorAll('.ag-center-cols-container .ag-cell[col-id=latent]')]"
    shown = page.wait_for_function(f"(texts => texts.length && texts)({cells}.map(cell => cell.innerText))")
    return shown.json_value()


def counted(page, text: str) -> None:
    page.wait_for_function(f"document.querySelector('#features-count')?.textContent === {text!r}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", [page for page in PAGES if page.listed], ids=lambda page: page.title)
def test_every_page_opens_from_the_navigation_bar(site, open_page, page, scheme) -> None:
    tab = open_page(site, scheme=scheme)
    tab.click(f".nav-link:text-is('{page.title}')")
    tab.wait_for_selector(f".nav-link[aria-current=page]:text-is('{page.title}')")
    tab.wait_for_selector("#page h1")
    assert tab.get_attribute("html", "data-mantine-color-scheme") == scheme
    light = tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)")
    assert (sum(light) > 600) == (scheme == "light")


def test_the_overview_says_what_the_tables_say(site, open_page, tables) -> None:
    page = open_page(site)
    page.wait_for_selector(".density-by-level .main-svg")
    body = page.locator(".level-table tbody tr")
    for row, level in enumerate(tables.levels().levels):
        cells = body.nth(row).locator("td").all_inner_texts()
        assert cells[1] == f"{level.width:,}" and cells[3] == f"{level.fvu:.3f}"
    assert page.locator(".rate-distortion .main-svg").count() and page.locator(".training-curves .main-svg").count()


def test_the_grid_filters_searches_sorts_and_keeps_it_all_in_the_url(site, open_page, tables) -> None:
    features = tables.features()
    page = open_page(f"{site}/features")
    counted(page, "128 of 128")
    page.click(".filters label:has-text('L1')")
    counted(page, "32 of 128")
    assert rows_shown(page)[0] == "16"
    page.fill("#features-q", "self")
    found = [j for j in range(128) if features.level[j] == 1 and "self" in features.text[j]]
    counted(page, f"{len(found)} of 128")
    assert "q=self" in page.url and "level=1" in page.url
    page.click(".ag-header-cell[col-id=max]")
    page.wait_for_function("location.search.includes('sort=max')")
    best = max(found, key=lambda j: features.max[j])
    page.wait_for_selector(f".ag-row[row-index='0'] .ag-cell[col-id=latent]:has-text('{best}')")
    assert rows_shown(page)[0] == str(best)
    again = open_page(page.url)
    counted(again, f"{len(found)} of 128")
    assert rows_shown(again) == rows_shown(page)
    assert again.input_value("#features-q") == "self"


def test_examples_show_the_highest_activation_that_the_store_gives(site, open_page, demo_run, tables) -> None:
    latent = int(tables.features().max.argmax())
    store = msae.ActivationStore.open(demo_run.store_path)
    with torch.no_grad():
        highest = float(demo_run.sae.encode_dense(store.rows(0, store.n_rows).float())[:, latent].max())
    page = open_page(f"{site}/feature/{latent}")
    first = page.locator(".examples .band").first.locator(".example").first
    assert first.locator("> .value").inner_text() == f"{highest:,.2f}"
    assert float(first.locator("i.here").get_attribute("data-v")) == pytest.approx(highest, rel=1e-3)
    assert first.locator("i.here").evaluate("node => Number(getComputedStyle(node).fontWeight)") >= 700


def test_ways_to_other_features_keys_and_the_back_button(site, open_page) -> None:
    page = open_page(f"{site}/feature/5")
    page.wait_for_selector("h1:text-is('Feature 5')")
    page.click("a.way.next")
    page.wait_for_selector("h1:text-is('Feature 6')")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("h1:text-is('Feature 7')")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("h1:text-is('Feature 6')")
    page.go_back()
    page.wait_for_selector("h1:text-is('Feature 7')")
    page.keyboard.press("/")
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:text-is('Feature 12')")
    page.click(".neighbours .latent >> nth=0")
    page.wait_for_selector("h1:not(:text-is('Feature 12'))")
    page.go_back()
    page.wait_for_selector("h1:text-is('Feature 12')")
    page.keyboard.press("?")
    page.wait_for_selector(".mantine-Modal-content:has-text('previous and next')")
    page.keyboard.press("Escape")
    page.wait_for_selector(".mantine-Modal-content", state="detached")
    page.click("button.random")
    page.wait_for_function("location.pathname !== '/feature/12'")
    assert re.fullmatch(rf"{site}/feature/\d+", page.url)


def test_a_level_kept_to_bounds_previous_and_next(site, open_page) -> None:
    page = open_page(f"{site}/feature/16?level=1")
    page.wait_for_selector("h1:text-is('Feature 16')")
    assert page.locator("a.way.previous").count() == 0
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("h1:text-is('Feature 17')")
    assert page.url.endswith("/feature/17?level=1")


def test_context_and_colours_are_in_the_url_and_stay(site, open_page) -> None:
    page = open_page(f"{site}/feature/3?context=5&theme=emerald")
    page.wait_for_selector(".examples")
    shown = ".examples .example:first-of-type .strip i:visible"
    assert page.locator(".examples .example").first.locator("i:visible").count() <= 11, shown
    hottest = page.locator(".examples i.here").first
    assert re.match(r"rgb\(16, 185, 129", hottest.evaluate("node => getComputedStyle(node).backgroundColor"))
    page.click("button[data-value=full]")
    page.click("button[data-value=orange]")
    assert "context=full" in page.url and "theme=orange" in page.url
    assert page.locator(".examples .example").first.locator("i:visible").count() > 11
    assert re.match(r"rgb\(255, 140, 0", hottest.evaluate("node => getComputedStyle(node).backgroundColor"))
    assert page.get_attribute("button[data-value=full]", "aria-pressed") == "true"
    page.click("a.way.next")
    page.wait_for_selector("h1:text-is('Feature 4')")
    assert page.get_attribute("html", "data-context") == "full"


def test_light_and_dark_can_be_chosen(site, open_page) -> None:
    page = open_page(site, scheme="dark")
    page.wait_for_selector("html[data-mantine-color-scheme=dark]")
    page.wait_for_selector("#page h1")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.click("#scheme")
    page.wait_for_selector("html[data-mantine-color-scheme=light]")
    page.wait_for_function(f"{background} !== {dark!r}")
    brightness = [sum(map(int, re.findall(r"\d+", color)[:3])) for color in (dark, page.evaluate(background))]
    assert brightness[0] < 200 and brightness[1] > 600, brightness


@pytest.mark.parametrize("path", ["/nowhere", "/feature/999999", "/feature/..%2f..%2fetc", "/feature"])
def test_what_is_not_there_is_said(site, open_page, path) -> None:
    page = open_page(f"{site}{path}")
    page.wait_for_selector("#page [role=alert]")
    said = page.inner_text("#page [role=alert]")
    assert "no page at this address" in said or "There is no latent" in said, said


def test_grid_cells_open_features_without_a_reload(site, open_page) -> None:
    page = open_page(f"{site}/features?sort=density&order=desc")
    rows_shown(page)
    page.evaluate("window.kept = true")
    page.click(".ag-cell[col-id=latent] a >> nth=2")
    page.wait_for_selector("#page h1:has-text('Feature ')")
    assert page.evaluate("window.kept")
    page.go_back()
    assert rows_shown(page)
    assert page.url.endswith("/features?sort=density&order=desc")


def test_hostile_text_shows_as_text_and_breaks_nothing(hostile_run, open_page) -> None:
    latent = int(RunTables(hostile_run).features().density.argmax())
    with serving(hostile_run) as hostile:
        tab = open_page(hostile)
        for page in PAGES:
            tab.goto(hostile + Address(page=page.name, latent=None if page.listed else latent).href)
            tab.wait_for_selector("#page h1")
            tab.wait_for_function(
                "[...document.querySelectorAll('.figure')].every(one => one.querySelector('.main-svg'))"
            )
            assert tab.evaluate("window.stolen === undefined"), page.title
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), page.title
            if page.name == "feature":
                assert "<script>window.stolen = 1</script>" in tab.locator(".panel.examples").inner_text()
                assert "… (10,000 characters)" in tab.locator(".panel.examples").inner_text()
            if page.name == "features":
                rows_shown(tab)
                assert "<script>window.stolen" in tab.locator(".ag-center-cols-container").inner_text()
        tab.goto("about:blank")  # a page that still asks would see its server go
