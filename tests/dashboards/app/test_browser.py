"""The pages in a real browser. Each test also refuses console errors and requests that leave the machine."""

from __future__ import annotations

import math
import re

import pytest
import torch

import msae
from msae_dashboards.address import Address
from msae_dashboards.data.filter import Filter
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages import FEATURE, PAGES
from msae_dashboards.view.html import write
from msae_dashboards.view.nodes import TokenStrip
from tests.dashboards.conftest import HOSTILE, serving

DRAWN = "[...document.querySelectorAll('.figure')].every(figure => figure.querySelector('.main-svg'))"

STRIP = TokenStrip(["a", "b", "c"], [1, 2, 3], [0.0, 1.0, 4.0], 0, 4.0)


@pytest.fixture(scope="module")
def tables(demo_run) -> RunTables:
    return RunTables(demo_run.path)


def rows_shown(page) -> list[str]:
    """The latents in the grid, read in one go once their cells are there: a row comes before its cells, and may go."""
    cells = "[...document.querySelectorAll('.ag-center-cols-container .ag-cell[col-id=latent] a')]"
    shown = page.wait_for_function(f"(texts => texts.length && texts)({cells}.map(cell => cell.innerText))")
    return shown.json_value()


def first_row_is(page, latent: int) -> None:
    page.wait_for_selector(f".ag-row[row-index='0'] .ag-cell[col-id=latent] a:text-is('{latent}')")


def counted(page, text: str) -> None:
    page.wait_for_function(f"document.querySelector('#count')?.textContent === {text!r}")


def titled(page, text: str) -> None:
    page.wait_for_function(f"document.querySelector('#page h1')?.textContent === {text!r}")


def color_of(place) -> tuple[float, ...]:
    """A place's background: red, green, blue from 0 to 1, opacity."""
    text = place.evaluate("node => getComputedStyle(node).backgroundColor")
    parts = [float(part) for part in re.findall(r"[\d.]+", text.replace("srgb", ""))]
    scale = 1 if text.startswith("color(") else 255
    return (*(part / scale for part in parts[:3]), *(parts[3:] or [1.0]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", [page for page in PAGES if page.listed], ids=lambda page: page.title)
def test_every_page_opens_from_the_navigation_bar(site, open_page, page, scheme) -> None:
    tab = open_page(site, scheme=scheme)
    tab.click(f".nav-link:text-is('{page.title}')")
    tab.wait_for_selector(f".nav-link[aria-current=page]:text-is('{page.title}')")
    tab.wait_for_selector("#page h1")
    assert tab.title().endswith(" · msae") and tab.get_attribute("html", "lang") == "en"
    light = tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)")
    assert (sum(light) > 600) == (scheme == "light")


def test_the_overview_says_what_the_tables_say(site, open_page, tables) -> None:
    page = open_page(f"{site}/run")
    page.wait_for_selector(".density-by-level .main-svg")
    body = page.locator(".level-table tbody tr")
    for row, level in enumerate(tables.levels().levels):
        cells = body.nth(row).locator("td").all_inner_texts()
        assert cells[1] == f"{level.width:,}" and cells[3] == f"{level.fvu:.4f}"
    assert page.locator(".rate-distortion .main-svg").count() and page.locator(".training-curves .main-svg").count()


def test_the_grid_filters_searches_sorts_and_keeps_it_all_in_the_url(site, open_page, tables) -> None:
    features = tables.features()
    page = open_page(f"{site}/features")
    counted(page, "128 of 128")
    page.click(".filters label:has-text('L1')")
    counted(page, "32 of 128")
    first_row_is(page, 16)
    page.fill("[name=q]", "self")
    found = [j for j in range(128) if features.level[j] == 1 and "self" in features.text[j]]
    counted(page, f"{len(found)} of 128")
    page.wait_for_function("location.search.includes('q=self') && location.search.includes('level=1')")
    page.click(".ag-header-cell[col-id=max]")
    page.wait_for_function("location.search.includes('sort=max')")
    best = max(found, key=lambda j: features.max[j])
    first_row_is(page, best)
    again = open_page(page.url)
    counted(again, f"{len(found)} of 128")
    first_row_is(again, best)
    assert again.input_value("[name=q]") == "self"


def test_rows_come_wherever_one_scrolls(site, open_page, tables) -> None:
    """Several blocks of rows are wanted at once, and in any order."""
    page = open_page(f"{site}/features", height=400)
    counted(page, "128 of 128")
    for place in ("end", "start", "end"):
        page.hover(".ag-body-viewport")  # by the wheel: of the grid's two scrollers, one follows the one in use
        page.mouse.wheel(0, 100_000 if place == "end" else -100_000)
        latent = 127 if place == "end" else 0
        page.wait_for_selector(f".ag-row[row-index='{latent}'] .ag-cell[col-id=latent] a:text-is('{latent}')")
    page.focus(".ag-header-cell[col-id=max]")  # by keyboard: a click on a row opens its feature
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(".ag-cell[col-id=max].ag-cell-focus")
    page.keyboard.press("Control+End")
    page.wait_for_selector(".ag-row[row-index='127'] .ag-cell[col-id=latent] a:text-is('127')")
    texts = page.locator(".ag-cell[col-id=n_tokens]").all_inner_texts()
    assert texts and "NaN" not in texts


def test_a_source_of_rows_that_dash_sets_late_does_not_leave_the_grid_blank(site, open_page) -> None:
    """Dash sets one, which nobody answers, when the grid is ready: sometimes after the page has set its own."""
    page = open_page(f"{site}/features")
    first_row_is(page, 0)
    page.evaluate("dash_ag_grid.getApi('features-grid').setGridOption('datasource', { getRows() {} })")
    page.click(".ag-header-cell[col-id=max]")  # rows that are requested anew
    page.wait_for_function("new URLSearchParams(location.search).get('sort') === 'max'")
    assert rows_shown(page)


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


def test_links_to_other_features_keys_and_the_back_button(site, open_page) -> None:
    page = open_page(f"{site}/feature/5")
    titled(page, "Feature 5")
    page.click("a.move.next")
    titled(page, "Feature 6")
    page.keyboard.press("ArrowRight")
    titled(page, "Feature 7")
    page.keyboard.press("ArrowLeft")
    titled(page, "Feature 6")
    page.go_back()
    titled(page, "Feature 7")
    page.keyboard.press("/")
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    titled(page, "Feature 12")
    neighbour = page.locator(".neighbours .latent").first.inner_text()
    page.click(".neighbours .latent >> nth=0")
    titled(page, f"Feature {neighbour}")
    page.go_back()
    titled(page, "Feature 12")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]:has-text('previous and next')")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="hidden")
    page.click("button.random")
    page.wait_for_url(re.compile(rf"^{site}/feature/\d+$"))
    page.wait_for_selector("#page h1")


def test_a_level_kept_to_bounds_previous_and_next(site, open_page) -> None:
    page = open_page(f"{site}/feature/16?level=1")
    titled(page, "Feature 16")
    assert page.locator("a.move.previous").count() == 0
    page.keyboard.press("ArrowRight")
    titled(page, "Feature 17")
    assert page.url.endswith("/feature/17?level=1")


def test_context_and_colours_are_in_the_url_and_stay(site, open_page) -> None:
    page = open_page(f"{site}/feature/3?context=5&theme=emerald")
    titled(page, "Feature 3")
    assert page.locator(".examples .example").first.locator("i:visible").count() <= 11
    hottest = page.locator(".examples i.here").first
    assert color_of(hottest) == pytest.approx((16 / 255, 185 / 255, 129 / 255, 1.0), abs=0.02)
    page.click("button[data-value=full]")
    page.click("button[data-value=orange]")
    assert "context=full" in page.url and "theme=orange" in page.url
    assert page.locator(".examples .example").first.locator("i:visible").count() > 11
    assert color_of(hottest) == pytest.approx((1.0, 140 / 255, 0.0, 1.0), abs=0.02)
    assert page.get_attribute("button[data-value=full]", "aria-pressed") == "true"
    page.click("a.move.next")
    titled(page, "Feature 4")
    assert page.get_attribute("html", "data-context") == "full"


def test_the_two_colour_scales_by_hand(site, open_page) -> None:
    """Opacity linear in activation / max, or 0.05 + 0.95 log10(1 + 9 activation / max)."""
    page = open_page(f"{site}/feature/3")
    titled(page, "Feature 3")
    page.evaluate("html => { document.getElementById('page').innerHTML = html; }", str(write(STRIP)))
    tokens = page.locator(".strip i")
    for theme, expected in (("orange", [0.0, 0.25, 1.0]), ("emerald", [0.0, 0.05 + 0.95 * math.log10(3.25), 1.0])):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        assert [color_of(tokens.nth(place))[3] for place in range(3)] == pytest.approx(expected, abs=0.005)


def test_light_and_dark_can_be_chosen_and_stay(site, open_page) -> None:
    page = open_page(site, scheme="dark")
    page.wait_for_selector("#page h1")
    brightness = (
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
    )
    assert page.evaluate(brightness) < 200
    page.click("#scheme")
    page.wait_for_selector("html[data-scheme=light]")
    assert page.evaluate(brightness) > 600
    page.click(".nav-link:text-is('Tree')")
    titled(page, "Tree")
    assert page.evaluate(brightness) > 600


@pytest.mark.parametrize("path", ["/nowhere", "/feature/999999", "/feature/..%2f..%2fetc", "/feature"])
def test_what_is_not_there_is_said(site, open_page, path) -> None:
    page = open_page(f"{site}{path}", missing=True)
    titled(page, "Not found")
    assert page.inner_text("#page [role=alert]")


def test_a_row_of_the_grid_opens_its_feature_and_the_filter_goes_along(site, open_page, tables) -> None:
    order = tables.features().find(Filter(levels=(1,), sort="density", descending=True)).tolist()
    page = open_page(f"{site}/features?level=1&sort=density&order=desc")
    first_row_is(page, order[0])
    page.click(".ag-row[row-index='2'] .ag-cell[col-id=max]")
    titled(page, f"Feature {order[2]}")
    page.go_back()
    first_row_is(page, order[0])
    page.wait_for_function("location.search === '?level=1&sort=density&order=desc'")
    page.click(".ag-row[row-index='2'] .ag-cell[col-id=latent] a")
    titled(page, f"Feature {order[2]}")
    page.keyboard.press("ArrowRight")
    titled(page, f"Feature {order[3]}")
    page.keyboard.press("ArrowLeft")
    titled(page, f"Feature {order[2]}")


def test_a_server_that_is_gone_is_said_and_it_comes_back(demo_run, open_page) -> None:
    with serving(demo_run.path) as address:
        page = open_page(f"{address}/feature/3", missing=True)
        titled(page, "Feature 3")
    page.evaluate("window.msae.lookForServer()")
    page.wait_for_selector(".gone[role=alert]:has-text('msae dashboard')")
    with serving(demo_run.path, port=int(address.rsplit(":", 1)[1])):
        page.evaluate("window.msae.lookForServer()")
        page.wait_for_selector(".gone", state="detached")
        page.goto("about:blank")


@pytest.mark.parametrize("width", [390, 1440])
def test_hostile_text_shows_as_text_and_breaks_nothing(hostile_run, open_page, width) -> None:
    tables = RunTables(hostile_run)
    longest = [len(text or "") for text in tables.table("explanations")["explanation"].to_pylist()]
    assert max(longest) == len(HOSTILE[-1])
    latent = max(range(len(longest)), key=lambda latent: (longest[latent], tables.features().density[latent]))
    with serving(hostile_run) as hostile:
        tab = open_page(hostile, width=width)
        for page in PAGES:
            tab.goto(hostile + Address(page=page.name, latent=latent if page is FEATURE else None).href)
            tab.wait_for_selector("#page h1")
            tab.wait_for_function(DRAWN)
            if page.name == "features":
                tab.locator(".ag-center-cols-container", has_text="<script>window.stolen").wait_for()
            assert tab.evaluate("window.stolen === undefined"), page.title
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), page.title
            if page is FEATURE:
                assert "<script>window.stolen = 1</script>" in tab.locator(".panel.examples").inner_text()
                assert "… (10,000 characters)" in tab.locator(".panel.examples").inner_text()
        tab.goto("about:blank")  # a page that still asks would see its server go
