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
