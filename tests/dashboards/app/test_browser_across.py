"""Tree, splitting, absorption and comparison in a real browser: they show what the tables hold."""

from __future__ import annotations

import pytest

from msae.analysis.hierarchy.splitting import ALL_LATER
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.absorption import pairs as ranked
from msae_dashboards.view.figures import number, share


@pytest.fixture(scope="module")
def tables(demo_run) -> RunTables:
    return RunTables(demo_run.path)


def heading(page, text: str) -> None:
    page.wait_for_function(f"document.querySelector('h1')?.textContent === {text!r}")


def test_the_tree_opens_branch_by_branch_and_says_what_chance_gives(site, open_page, tables):
    branches = tables.branches()
    root = branches.roots[0]
    page = open_page(f"{site}/tree")
    page.wait_for_selector(".treemap .box.open b")
    found = tables.analysis()["tree"]
    assert page.inner_text(".badge") == f"{found['edges']:,} edges, chance gives {found['edges_by_chance']:,}"
    boxes = page.locator(".treemap .box").evaluate_all("boxes => boxes.map(box => box.getAttribute('href'))")
    assert {f"tree/{latent}" for latent in branches.roots} <= set(boxes)
    named = page.locator(".treemap .box.open b").all_inner_texts()  # a small one has no room for its number
    assert str(root) in named and set(map(int, named)) <= set(branches.children)
    page.click(f".treemap .box.open:has(b:text-is('{root}'))", position={"x": 20, "y": 8})
    heading(page, f"Branch of feature {root}")
    assert page.url == f"{site}/tree/{root}"
    below = page.locator(".tree-outline .outline > li .latent").all_inner_texts()
    assert [int(text) for text in below] == [edge.child for edge in branches.children[root]]
    strengths = page.locator(".tree-outline .meter").all_inner_texts()
    assert strengths == [f"{edge.strength:.2f}" for edge in branches.children[root]]
    page.click(".tree-outline .latent >> nth=0")
    child = branches.children[root][0].child
    heading(page, f"Feature {child}")
    page.go_back()
    heading(page, f"Branch of feature {root}")
    page.keyboard.press("ArrowRight")
    heading(page, f"Branch of feature {branches.roots[1]}")


def test_every_parent_of_a_latent_is_listed(site, open_page, tables):
    branches = tables.branches()
    child = max(branches.parents, key=lambda latent: len(branches.parents[latent]))
    page = open_page(f"{site}/tree/{child}")
    heading(page, f"Branch of feature {child}")
    parents = page.locator(".tree-parents .parent .latent").all_inner_texts()
    assert [int(text) for text in parents] == [edge.parent for edge in branches.parents[child]]


def test_an_outline_opens_and_closes(site, open_page):
    page = open_page(f"{site}/tree")
    first = page.locator(".tree-outline details").first
    first.locator("ul").wait_for(state="visible")
    first.locator("summary").click(position={"x": 5, "y": 8})
    first.locator("ul").wait_for(state="hidden")
    assert first.get_attribute("open") is None


def test_splitting_picks_a_parent_and_shows_its_children_on_the_same_tokens(site, open_page, tables):
    rows = [row for row in tables.table("splitting").to_pylist() if row["child_level"] == ALL_LATER]
    page = open_page(f"{site}/splitting")
    page.wait_for_selector(".splitting-levels tbody tr")
    levels = page.locator(".splitting-levels tbody tr")
    assert levels.count() == tables.table("splitting_levels").num_rows
    picks = page.locator(".splitting-parents .picks .latent").all_inner_texts()
    assert sorted(map(int, picks)) == sorted(row["parent"] for row in rows)
    row = next(row for row in rows if row["parent"] == int(picks[-1]))
    page.click(".splitting-parents .picks .latent >> nth=-1")
    heading(page, f"Splitting of feature {row['parent']}")
    assert page.url == f"{site}/splitting/{row['parent']}"
    assert share(row["coverage"], 1) in page.locator(".splitting-family dd").all_inner_texts()
    shown = tables.rows("splitting_tokens", row["parent"], "parent")
    assert page.locator(".side-by-side tbody tr").count() == len(shown)
    for place, token in enumerate(shown):
        cells = page.locator(".side-by-side tbody tr").nth(place).locator("td:not(.passage)").all_inner_texts()
        assert cells[0] == number(token["parent_value"], 1)
        expected = [number(value, 1) for value in token["child_values"]]
        assert sorted(cell for cell in cells[1:] if cell) == sorted(expected)
    assert page.locator(".side-by-side tbody").last.inner_text().startswith("no child")


def test_absorption_opens_a_pair_with_both_latents_along_the_passage(site, open_page, tables):
    pairs = ranked.tested(tables).to_pylist()
    page = open_page(f"{site}/absorption")
    page.wait_for_selector(".absorption-pairs .picks li")
    assert page.locator(".absorption-pairs .picks li").count() == min(len(pairs), ranked.SHOWN)
    # Not the first of them, which an address without a child opens too.
    place, pair = next((place, pair) for place, pair in enumerate(pairs) if place and pair["absorbed"])
    page.click(f".absorption-pairs .picks li:nth-child({place + 1}) .latent >> nth=0")
    heading(page, f"Absorption of feature {pair['parent']}")
    assert page.url == f"{site}/absorption/{pair['parent']}?child={pair['child']}"
    heads = page.locator(".absorption-tokens .pair .latent").all_inner_texts()
    assert heads == [str(pair["parent"]), str(pair["child"])]
    tokens = [r for r in tables.rows("absorption_tokens", pair["parent"], "parent") if r["child"] == pair["child"]]
    assert page.locator(".absorbed").count() == len(tokens) > 0
    lines = page.locator(".absorbed").first.locator(".line")
    child, parent = (lines.nth(i).locator("i.here") for i in (0, 1))
    assert float(child.get_attribute("data-v")) == pytest.approx(tokens[0]["child_value"], rel=1e-3)
    assert parent.get_attribute("data-v") is None and child.inner_text() == parent.inner_text()


def test_a_pair_without_an_absorbed_token_says_so(site, open_page, tables) -> None:
    pair = next(pair for pair in ranked.tested(tables).to_pylist() if not pair["absorbed"])
    page = open_page(f"{site}/absorption/{pair['parent']}?child={pair['child']}")
    heading(page, f"Absorption of feature {pair['parent']}")
    assert page.locator(".absorption-tokens .note").inner_text() == (
        f"Not one of {pair['tested']:,} tokens tested is absorbed."
    )


@pytest.mark.parametrize("page_name", ["tree", "splitting", "absorption"])
def test_a_level_is_kept_to_in_the_url(site, open_page, tables, page_name):
    page = open_page(f"{site}/{page_name}")
    page.click(".steps a:has(.chip:text-is('L0'))")
    page.wait_for_function("new URLSearchParams(location.search).get('level') === '0'")
    page.wait_for_selector(".steps .on:has(.chip:text-is('L0'))")
    page.wait_for_selector(".page h1")
    where = {"tree": ".outline.whole > li > .branch .chip"}.get(page_name, ".picks li > .feature-link .chip")
    assert set(page.locator(where).all_inner_texts()) == {"L0"}


@pytest.mark.parametrize("page_name", ["tree", "splitting", "absorption"])
def test_nothing_is_wider_than_a_small_laptop(site, open_page, page_name):
    page = open_page(f"{site}/{page_name}", width=1366, height=768)
    page.wait_for_selector("h1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1366


def test_compare_shows_two_levels_and_switches_by_the_map(site, open_page, tables):
    page = open_page(f"{site}/compare")
    page.wait_for_selector(".compare-nearness .main-svg")
    overlap = {(row["a"], row["b"]): row for row in tables.table("level_overlap").to_pylist()}
    cells = page.locator(".found-again tbody td")
    assert cells.all_inner_texts() == [
        "" if a == b else share(overlap[a, b]["share"], 0) for a in range(3) for b in range(3)
    ]
    assert page.inner_text(".badge").split() == ["L0", "and", "L1"]
    page.click(".found-again tr:nth-child(3) td:nth-child(3) a")
    page.wait_for_function("location.search === '?a=2&b=1'")
    page.wait_for_function("document.querySelector('.badge').innerText.startsWith('L2')")
    row = overlap[2, 1]
    rest = page.inner_text(".compare-unmatched h3 >> nth=0")
    assert f"{row['live'] - row['matched']:,} of {row['live']:,} live latents not found in" in rest
    widths = page.locator(".compare-figures tbody td:nth-child(2)").all_inner_texts()
    levels = tables.levels().levels
    assert widths == [f"{levels[2].width:,}", f"{levels[1].width:,}"]
    links = page.locator(".compare-matched table").first.locator("tbody tr").first.locator(".chip").all_inner_texts()
    assert links == ["L2", "L1"]
