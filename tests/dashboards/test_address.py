"""Addresses: what is written is read back, and what no page can have is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msae_dashboards.address import Address, feature_href, features_href

queries = st.dictionaries(st.text("abcxyz", min_size=1), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))


@given(st.sampled_from(["", "features", "feature", "tree"]), st.none() | st.integers(0, 10**9 - 1), queries)
def test_what_is_written_is_read_back(page: str, latent: int | None, query: dict[str, str]) -> None:
    if page == "" and latent is not None:
        return
    written = Address(page=page, latent=latent, query=query)
    pathname, _, search = written.href.partition("?")
    assert Address.parse(pathname, f"?{search}" if search else "") == written


@pytest.mark.parametrize(
    "pathname",
    ["/feature/-1", "/feature/1.5", "/feature/../../etc", "/feature/1/2", "/feature/٣", "/feature/" + "9" * 30],
)
def test_what_no_page_can_have_is_refused(pathname: str) -> None:
    assert Address.parse(pathname, "") is None


def test_the_root_is_the_overview() -> None:
    assert Address.parse(None, None) == Address.parse("/", "") == Address()


def test_numbers_of_a_query() -> None:
    address = Address(page="features", query={"level": "0,2,x,-1", "a": "1e-3", "b": "nan", "c": "inf"})
    assert address.numbers("level") == (0, 2)
    assert address.number("a") == 0.001
    assert address.number("b") is address.number("c") is address.number("d") is None


def test_addresses_by_hand() -> None:
    assert feature_href(12) == "/feature/12"
    assert features_href(q="def ", level="") == "/features?q=def+"
