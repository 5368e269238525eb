"""Addresses of the app as files of an export."""

from __future__ import annotations

import pytest

from msae_dashboards.address import Address
from msae_dashboards.export.document import Site, file_of


@pytest.mark.parametrize(
    ("address", "file"),
    [
        (Address(), "index.html"),
        (Address(page="tree"), "tree.html"),
        (Address(page="feature", latent=12), "feature/12.html"),
        (Address(page="tree", query={"root": "3", "level": ""}), "tree/root-3.html"),
    ],
)
def test_every_address_has_its_file(address, file):
    assert file_of(address) == file


@pytest.fixture
def site():
    files = {"/": "index.html", "/feature/3": "feature/3.html", "/features": "features.html"}
    return Site(run="runs/<i>", files=files, bar=(("Overview", "/"),), said="said")


def test_links_are_relative_and_only_to_what_is_there(site):
    link = site.link_from("feature/3.html")
    assert link("/feature/3") == "../feature/3.html" and link("/") == "../index.html"
    assert link("/feature/4") is None and link("/splitting") is None
    assert link("/features?level=1&q=%3C") == "../features.html?level=1&q=%3C"
    assert site.link_from("index.html")("/feature/3") == "feature/3.html"


def test_a_state_of_a_latents_page_leads_to_one_that_says_less():
    files = {
        "/splitting": "splitting.html",
        "/splitting/3": "splitting/3.html",
        "/absorption/3?child=9": "absorption/3-child-9.html",
    }
    link = Site(run="run", files=files, bar=(), said="").link_from("index.html")
    assert link("/splitting/3?level=1") == "splitting/3.html"
    assert link("/absorption/3?child=9&level=0") == "absorption/3-child-9.html"
    assert link("/absorption/3?child=8") is None and link("/absorption/3") is None
    assert link("/splitting?level=1") is None
