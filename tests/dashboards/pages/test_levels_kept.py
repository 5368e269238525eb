"""Changing the level of a list leaves the pick behind, which belongs to the level before."""

from __future__ import annotations

import re

import pytest

from msae_dashboards.address import Address
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.absorption import pairs
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.pages.splitting import parents
from msae_dashboards.view.html import write


@pytest.fixture(scope="module")
def tables(demo_run) -> RunTables:
    return RunTables(demo_run.path)


def level_links(panel: Panel, tables: RunTables, address: Address) -> list[str]:
    page = write(panel.render(Visit(tables=tables, address=address)))
    return re.findall(r'href="([^"]*)" class="step"', page.replace("&amp;", "&"))


def test_a_pair_does_not_outlive_its_level(tables):
    pair = pairs.tested(tables).slice(0, 1).to_pylist()[0]
    query = {"child": str(pair["child"]), "level": str(pair["parent_level"])}
    links = level_links(pairs.PANEL, tables, Address(page="absorption", latent=pair["parent"], query=query))
    assert "/absorption" in links and all(link.partition("?")[0] == "/absorption" for link in links)
    assert not any("child" in link for link in links)


def test_a_parent_does_not_outlive_its_level_and_its_order_stays(tables):
    row = parents.all_later(tables).slice(0, 1).to_pylist()[0]
    query = {"level": str(row["parent_level"]), "sort": "coverage"}
    links = level_links(parents.PANEL, tables, Address(page="splitting", latent=row["parent"], query=query))
    assert "/splitting?sort=coverage" in links
    assert f"/splitting/{row['parent']}?level={row['parent_level']}" in links  # another order keeps the pick
    assert not any(link.startswith(f"/splitting/{row['parent']}") and "sort=coverage" in link for link in links)
