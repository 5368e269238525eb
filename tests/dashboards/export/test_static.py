"""An export opened from disk in a real browser: it draws everything, finds its way, and asks nothing of the network.

`open_page` refuses console errors, and requests other than to files.
"""

from __future__ import annotations

import json
import re

import pytest

from msae_dashboards import export_html
from msae_dashboards.data.tables import RunTables
from tests.dashboards.export.conftest import CHOSEN

DRAWN = "document.querySelectorAll('.plot').length > 0 && [...document.querySelectorAll('.plot')].every(p => p.data)"


@pytest.fixture
def open_file(exported, open_page):
    def open_(path, **options):
        return open_page(
            exported.joinpath(path.partition("?")[0]).as_uri() + path[len(path.partition("?")[0]) :], **options
        )

    return open_


def test_a_page_of_each_kind_opens_and_draws(exported, open_file):
    kinds = {re.sub(r"\d+", "N", path.relative_to(exported).as_posix()): path for path in exported.rglob("*.html")}
    assert {"index.html", "features.html", "feature/N.html", "tree/N.html", "compare.html"} <= kinds.keys()
    page = open_file("index.html")
    for path in kinds.values():
        page.goto(path.as_uri())
        assert page.locator("h1").count() == 1
        page.wait_for_function("[...document.querySelectorAll('.plot')].every(plot => plot.data)")


@pytest.mark.parametrize("page_name", ["index.html", "feature.html#20", "tree.html", "compare.html#a-2-b-1"])
def test_few_files_open_and_draw(few_files, open_page, page_name):
    page = open_page((few_files / page_name.partition("#")[0]).as_uri() + "".join(page_name.partition("#")[1:]))
    page.wait_for_selector("#page h1")
    page.wait_for_function("[...document.querySelectorAll('.plot')].every(plot => plot.data)")
    assert page.locator("h1").count() == 1


def test_few_files_find_their_way_from_disk(few_files, open_page):
    page = open_page((few_files / "feature.html").as_uri())
    heading(page, f"Feature {CHOSEN[0]}")
    page.wait_for_function(f"document.title.startsWith('Feature {CHOSEN[0]} · ')")
    for key, latent in (("ArrowRight", CHOSEN[1]), ("ArrowRight", CHOSEN[2]), ("ArrowLeft", CHOSEN[1])):
        page.keyboard.press(key)
        heading(page, f"Feature {latent}")
    page.go_back()
    heading(page, f"Feature {CHOSEN[2]}")
    page.click("button[data-value=full]")
    assert page.get_attribute("button[data-value=full]", "aria-pressed") == "true"
    page.keyboard.press("ArrowLeft")
    heading(page, f"Feature {CHOSEN[1]}")
    assert page.get_attribute("button[data-value=full]", "aria-pressed") == "true"
    page.click(".nav-link:text-is('Features')")
    page.click(f"#index tbody tr[data-latent='{CHOSEN[3]}'] .by-density")
    heading(page, f"Feature {CHOSEN[3]}")
    page.click(".nav-link:text-is('Compare')")
    page.wait_for_selector(".found-again a")
    page.click(".found-again a >> nth=1")
    page.wait_for_url("**/compare.html#a-*")
    page.wait_for_function("document.querySelector('.compare-nearness .plot')?.data")


def heading(page, text):
    page.wait_for_function(f"document.querySelector('#page h1')?.textContent === {text!r}")


def test_links_to_features_lead_as_far_as_they_are_exported(exported, open_file, demo_run):
    tables = RunTables(demo_run.path)
    page = open_file("index.html")
    for latent in CHOSEN[:2]:
        page.goto(exported.joinpath(f"feature/{latent}.html").as_uri())
        links = page.eval_on_selector_all(".latent", "all => all.map(one => [one.textContent, one.href ?? null])")
        assert len(links) > 10
        for number, href in links:
            assert (href is not None) == (int(number) in CHOSEN)
            assert href is None or href.endswith(f"/feature/{number}.html")
        chips = page.locator(".feature-link .chip").all_inner_texts()
        assert chips == [f"L{tables.features().level[int(number)]}" for number, _ in links]


def test_figures_have_the_template_again(open_file):
    page = open_file("run.html")
    page.wait_for_function(DRAWN)
    fonts = page.evaluate("[...document.querySelectorAll('.plot')].map(plot => plot._fullLayout.font.family)")
    assert len(fonts) == 3 and all(font.startswith("Inter") for font in fonts)


def test_a_histogram_says_what_its_bars_hold(open_file, demo_run):
    tables = RunTables(demo_run.path)
    latent = max(CHOSEN, key=lambda one: tables.features().density[one])
    counts = tables.rows("histograms", latent)[0]["counts"]
    page = open_file(f"feature/{latent}.html")
    labels = page.eval_on_selector_all(".activation-histogram .bars i", "bars => bars.map(bar => bar.dataset.label)")
    assert [int(one.split(": ")[1].split()[0].replace(",", "")) for one in labels] == counts
    heights = page.eval_on_selector_all(
        ".activation-histogram .bars i", "bars => bars.map(bar => Number(bar.style.getPropertyValue('--h')))"
    )
    assert max(heights) == 100 == heights[counts.index(max(counts))]
    page.hover(".activation-histogram .bars i >> nth=0")
    shown = "getComputedStyle(document.querySelector('.activation-histogram .bars i'), '::after').content"
    assert page.evaluate(shown) == json.dumps(labels[0], ensure_ascii=False)
    assert page.evaluate("window.Plotly === undefined")


def test_keys_lead_through_the_exported_features(open_file):
    page = open_file(f"feature/{CHOSEN[0]}.html")
    for key, latent in (("ArrowRight", CHOSEN[1]), ("ArrowRight", CHOSEN[2]), ("ArrowLeft", CHOSEN[1])):
        page.keyboard.press(key)
        page.wait_for_url(f"**/feature/{latent}.html")
    page.wait_for_selector("#page h1")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="hidden")
    page.click(".move.random")
    page.wait_for_url(
        lambda url: any(url.endswith(f"/feature/{latent}.html") for latent in CHOSEN if latent != CHOSEN[1])
    )


def test_a_number_opens_its_feature_and_words_search_the_index(open_file):
    page = open_file("index.html")
    page.keyboard.press("/")
    page.keyboard.type(str(CHOSEN[3]))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/feature/{CHOSEN[3]}.html")
    page.keyboard.press("/")
    page.keyboard.type("no such token anywhere")
    page.keyboard.press("Enter")
    page.wait_for_url("**/features.html?q=no*")
    counted(page, f"0 of {len(CHOSEN)}")
    assert page.locator("#index tbody tr:visible").count() == 0


def counted(page, text):
    page.wait_for_function(f"document.getElementById('count')?.textContent === {text!r}")


def latents_are(page, latents):
    rows = "[...document.querySelectorAll('#index tbody tr')].filter(row => !row.hidden).map(row => row.dataset.latent)"
    page.wait_for_function(f"{rows}.join() === {','.join(map(str, latents))!r}")


def test_the_index_filters_and_sorts_and_its_url_says_so(open_file, demo_run):
    features = RunTables(demo_run.path).features()
    page = open_file("features.html")
    latents_are(page, CHOSEN)
    page.click("label:has([name=level][value='1'])")
    latents_are(page, [latent for latent in CHOSEN if features.level[latent] == 1])
    page.click("label:has([name=level][value='1'])")
    page.click("button[data-sort='by-density']")
    latents_are(page, sorted(CHOSEN, key=lambda latent: -features.density[latent]))
    page.click("button[data-sort='by-density']")
    latents_are(page, sorted(CHOSEN, key=lambda latent: features.density[latent]))
    assert page.locator("th.by-density").get_attribute("aria-sort") == "ascending"
    assert "sort=by-density" in page.url and "order=asc" in page.url
    again = open_file("features.html?level=0&sort=by-max&order=desc")
    latents_are(again, [CHOSEN[0]])
    token = features.top_tokens[CHOSEN[0]][0].strip()
    if token:
        again.fill("#search", token)
        latents_are(again, [CHOSEN[0]])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_and_a_button_that_is_remembered(open_file, scheme):
    page = open_file(f"feature/{CHOSEN[0]}.html", scheme=scheme)
    ground = lambda: page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = lambda: sum(int(part) for part in ground().removeprefix("rgb(").rstrip(")").split(",")) < 3 * 128
    assert dark() is (scheme == "dark")
    page.click("#scheme")
    assert dark() is (scheme == "light")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**/feature/{CHOSEN[1]}.html")
    heading(page, f"Feature {CHOSEN[1]}")
    assert dark() is (scheme == "light")


def test_hostile_text_shows_as_text(hostile_run, tmp_path, open_page):
    out = export_html(hostile_run, tmp_path / "html", top=6, by="density")
    latents = json.loads((out / "export.json").read_text())["latents"]
    page = open_page((out / "features.html").as_uri())
    for name in ("features.html", *(f"feature/{latent}.html" for latent in latents)):
        page.goto((out / name).as_uri())
        assert page.locator("h1").count() == 1
        assert page.evaluate(
            "window.stolen === undefined && document.querySelectorAll('#page script:not([type])').length === 0"
        )


def test_tree_splitting_absorption_and_comparison_find_their_way_from_disk(open_file, demo_run):
    branches = RunTables(demo_run.path).branches()
    parent = next(latent for latent in CHOSEN if latent in branches.children)
    page = open_file("tree.html")
    page.click(f".treemap .box.open:has(b:text-is('{parent}'))", position={"x": 20, "y": 8})
    page.wait_for_url(f"**/tree/{parent}.html")
    page.click(".moves a:text-is('whole tree')")
    page.wait_for_url("**/tree.html")
    page.click(".nav-link:text-is('Splitting')")
    page.click(f".picks a.latent:text-is('{parent}')")
    page.wait_for_url(f"**/splitting/{parent}.html")
    page.wait_for_selector(".side-by-side tbody tr")
    assert page.locator(".side-by-side i.here").count() == page.locator(".side-by-side tbody tr").count() > 0
    page.click(".nav-link:text-is('Absorption')")
    page.click(".picks a.latent >> nth=0")
    page.wait_for_url("**/absorption/*.html")
    page.wait_for_selector(".absorption-tokens .figures")
    page.click(".nav-link:text-is('Compare')")
    page.click(".found-again a >> nth=1")
    page.wait_for_url("**/compare/*.html")
    page.wait_for_function("document.querySelector('.compare-nearness .plot')?.data")
