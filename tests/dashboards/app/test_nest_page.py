"""The first page: a text at every level, doors to features, the place in the nest of each."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from msae.analysis.levels.nest import right_shares
from msae_dashboards.address import Address
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages import NEST
from msae_dashboards.pages.nest.shown import absorbing_pairs
from msae_dashboards.view.figures import share
from msae_dashboards.view.html import write
from tests.dashboards.conftest import serving


@pytest.fixture(scope="module")
def tables(demo_run) -> RunTables:
    return RunTables(demo_run.path)


def text_of(tables: RunTables, number: int) -> list[dict]:
    return tables.rows("nest", number, "text")


def test_every_token_stands_over_its_strongest_latent_of_every_level(site, open_page, tables) -> None:
    page, rows = open_page(site), text_of(tables, 0)
    page.wait_for_selector(".nest-line li")
    assert page.locator(".nest-line li").count() == len(rows)
    level = tables.features().level
    parents = {child: {edge.parent for edge in edges} for child, edges in tables.branches().parents.items()}
    for place, row in enumerate(rows[:12]):
        token = page.locator(".nest-line li").nth(place)
        shown = {int(text) for text in token.locator(".cell b").all_inner_texts()}
        strongest = {next((one for one in row["latents"] if level[one] == lane), None) for lane in range(3)} - {None}
        assert shown == strongest
        for latent in shown:
            kind = token.locator(f".cell:has(b:text-is('{latent}'))").get_attribute("class").split()[1]
            inside = parents.get(latent, set()) & set(row["latents"])
            assert kind == ("outer" if level[latent] == 0 else "inside" if inside else "new")
    shares = " / ".join(share(each, 0) for each in right_shares(rows)[1:-1])
    assert shares in page.locator(".nest-text").inner_text()


def test_the_slider_colours_by_another_levels_gain_and_the_url_keeps_it(site, open_page, tables) -> None:
    page, rows = open_page(site), text_of(tables, 0)
    gain = "[...document.querySelectorAll('.nest-line .word')].map(word => word.style.getPropertyValue('--g'))"
    page.wait_for_selector(".nest-level")

    def expected(lane: int) -> list[str]:
        return [
            "0.00" if row["losses"] is None else f"{min(abs(row['losses'][lane] - row['losses'][lane + 1]) / 3, 1):.2f}"
            for row in rows
        ]

    def colours() -> list[float]:
        return [float(text) for text in page.evaluate(gain) if text]

    assert colours() == pytest.approx([float(text) for text in expected(2)], abs=0.011)
    page.focus(".nest-level")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("new URLSearchParams(location.search).get('level') === '1'")
    assert page.locator(".nest-slider output").inner_text() == "L1"
    assert colours() == pytest.approx([float(text) for text in expected(1)], abs=0.011)
    again = open_page(page.url)
    assert again.locator(".nest-slider output").inner_text() == "L1"


def test_the_texts_are_a_click_apart_and_a_latent_opens_its_page_with_its_place_in_the_nest(site, open_page) -> None:
    page = open_page(site)
    page.click(".nest-head .step:text-is('3')")
    page.wait_for_url("**/?text=3")
    latent = page.locator(".nest .cell b").first.inner_text()
    page.click(".nest .cell >> nth=0")
    page.wait_for_function(f"document.querySelector('#page h1')?.textContent === 'Feature {latent}'")
    assert page.locator(".feature .panel").first.get_attribute("class") == "panel family"
    titles = page.locator(".steps[aria-label='Pages about this feature'] .step").all_inner_texts()
    assert titles == ["Feature", "Branch", "Split", "Absorbed by"]
    page.click(".steps[aria-label='Pages about this feature'] .step:text-is('Branch')")
    page.wait_for_url(f"**/tree/{latent}")
    page.click(".steps[aria-label='Pages about this feature'] .step:text-is('Feature')")
    page.wait_for_url(f"**/feature/{latent}")


def test_an_absorbed_parent_leaves_a_hole_that_leads_to_the_pair(demo_run, open_page, tmp_path) -> None:
    """With a pair made absorbing by hand: the child fires on a token of the first text, the parent does not."""
    path = tmp_path / "run"
    shutil.copytree(demo_run.path, path)
    rows = text_of(RunTables(path), 0)
    file = path / "results" / "absorption.parquet"
    table = pq.read_table(file)
    pairs = list(zip(table["parent"].to_pylist(), table["child"].to_pylist(), table["hole"].to_pylist(), strict=True))
    place, token = next(
        (place, token)
        for token, row in enumerate(rows)
        for place, (parent, child, hole) in enumerate(pairs)
        if hole is not None and child in row["latents"] and parent not in row["latents"]
    )
    absorbing = pa.array([at == place for at in range(len(pairs))])
    pq.write_table(table.set_column(table.column_names.index("absorbing"), "absorbing", absorbing), file)
    parent, child, _ = pairs[place]
    assert list(absorbing_pairs(RunTables(path))) == [child]
    with serving(path) as site:
        page = open_page(site)
        page.wait_for_selector(".nest-line li")
        hole = page.locator(".nest-line li").nth(token).locator(".hole")
        assert hole.inner_text() == f"{parent} ← {child}" and "absorbed" in hole.get_attribute("title")
        assert page.locator(".door h3").all_inner_texts().count("A feature that is absorbed") == 1
        hole.click()
        page.wait_for_url(f"**/absorption/{parent}?child={child}")
        page.goto(f"{site}/feature/{parent}")
        assert "Absorbed by (1)" in page.locator(".family h3").all_inner_texts()
        page.goto("about:blank")


def test_a_run_on_activations_without_text_says_where_its_levels_are(demo_run, tmp_path) -> None:
    path = tmp_path / "run"
    shutil.copytree(demo_run.path, path)
    (path / "results" / "nest.parquet").unlink()
    tables = RunTables(path)
    assert "msae analyze" in write(NEST.render(tables, Address())[0])
    tables.source["kind"] = "array"
    page = write(NEST.render(tables, Address())[0])
    assert "no text" in page and 'href="/run"' in page and "nest-text" not in page and "text of your own" not in page


def test_the_live_prompt_reads_a_typed_text_at_every_level(site, open_page) -> None:
    page = open_page(f"{site}/prompt?text=def+main(argv):")
    page.wait_for_selector("#prompt-nest .nest-line li")
    words = page.locator("#prompt-nest .nest-line ol .word").all_inner_texts()
    assert "".join(words).replace("␣", " ") == "def main(argv):"
    assert page.locator("#prompt-nest .says").count() == 4 * (len(words) + 1)
    assert page.locator("#prompt-nest .nest-level").count() == 1
