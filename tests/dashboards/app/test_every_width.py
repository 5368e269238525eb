"""Every page on a phone, a tablet and a desk, light and dark: nothing overflows, and axe-core finds nothing wrong."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from msae_dashboards.address import Address
from msae_dashboards.pages import FEATURE, FEATURES, PAGES, PROMPT, Page

DRAWN = "[...document.querySelectorAll('.figure')].every(figure => figure.querySelector('.main-svg'))"
NAMES = {page: page.name or "nest" for page in PAGES}


def opened(open_page, site: str, page: Page, latent: int | None = None, **options):
    """The page when all that comes later is there."""
    about = 3 if page is FEATURE else latent
    tab = open_page(site + Address(page=page.name, latent=about).href, **options)
    tab.wait_for_selector("#page h1")
    tab.wait_for_function(DRAWN)
    if page is FEATURES:
        tab.wait_for_selector(".ag-row .ag-cell[col-id=latent] a")
    if page is PROMPT:
        tab.wait_for_selector("#prompt-left:not(.stale) .pick .strip")
    return tab


@pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
@pytest.mark.parametrize("width", [390, 768, 1024])
def test_nothing_overflows_and_the_navigation_is_there(site, open_page, page, width) -> None:
    tab = opened(open_page, site, page, width=width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    if page is FEATURES:
        assert tab.locator(".ag-body-viewport").bounding_box()["height"] > 200
    links = tab.locator(".nav-link")
    boxes = [links.nth(place).bounding_box() for place in range(links.count())]
    assert len(boxes) == sum(page.listed for page in PAGES)
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= width and box["height"] > 0 for box in boxes)


@pytest.mark.parametrize("page_name", ["tree", "splitting", "absorption"])
def test_pages_about_a_latent_do_not_overflow_a_phone(site, open_page, page_name) -> None:
    page = next(page for page in PAGES if page.name == page_name)
    tab = opened(open_page, site, page, latent=3, width=390)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_a_phone_the_explanation_comes_first_then_family_and_examples(site, open_page) -> None:
    tab = opened(open_page, site, FEATURE, width=390)
    order = ["summary", "family", "examples", "activation-histogram", "logit-histogram", "logits", "neighbours"]
    places = [tab.locator(f".panel.{name}").bounding_box()["y"] for name in order]
    assert places == sorted(places) and places[0] < 400


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
def test_axe_finds_nothing(site, open_page, page, scheme) -> None:
    tab = opened(open_page, site, page, scheme=scheme)
    # The grid's own parts are AG Grid's affair.
    found = Axe().run(tab, context={"exclude": [[".ag-root-wrapper"]]}).response["violations"]
    assert [(each["id"], [node["html"][:120] for node in each["nodes"]][:3]) for each in found] == []
