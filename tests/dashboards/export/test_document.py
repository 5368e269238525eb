"""Addresses of the app as files of an export."""

from __future__ import annotations

import pytest

from msae_dashboards.address import Address
from msae_dashboards.export.document import Site, file_of, place_of


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


@pytest.mark.parametrize(
    ("address", "place"),
    [
        (Address(), "index.html"),
        (Address(page="tree"), "tree.html"),
        (Address(page="feature", latent=12), "feature.html#12"),
        (Address(page="absorption", latent=3, query={"child": "9"}), "absorption.html#3-child-9"),
    ],
)
def test_every_address_has_its_place_in_few_files(address, place):
    assert place_of(address) == place


def test_links_are_relative_and_only_to_what_is_there():
    site = Site(places={"/": "index.html", "/feature/3": "feature/3.html", "/features": "features.html"})
    href = site.href_from("feature/3.html")
    assert href("/feature/3") == "../feature/3.html" and href("/") == "../index.html"
    assert href("/feature/4") is None and href("/splitting") is None
    assert href("/features?level=1&q=%3C") == "../features.html?level=1&q=%3C"
    assert site.href_from("index.html")("/feature/3") == "feature/3.html"


def test_a_state_of_a_latents_page_leads_to_one_that_says_less():
    places = {
        "/splitting": "splitting.html",
        "/splitting/3": "splitting/3.html",
        "/absorption/3?child=9": "absorption/3-child-9.html",
    }
    href = Site(places=places).href_from("index.html")
    assert href("/splitting/3?level=1") == "splitting/3.html"
    assert href("/absorption/3?child=9&level=0") == "absorption/3-child-9.html"
    assert href("/absorption/3?child=8") is None and href("/absorption/3") is None
    assert href("/splitting?level=1") is None
