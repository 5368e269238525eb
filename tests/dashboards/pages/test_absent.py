"""What a run cannot have is not called missing; what was not measured yet is said once; one level is one level."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from msae_dashboards.address import Address
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages import FEATURE, PAGES
from msae_dashboards.view.html import write

NOTE = "The model has no language head: there are no logits."


def shown(run, name: str, latent: int | None = None) -> str:
    page = next(page for page in PAGES if page.name == name)
    return write(page.render(RunTables(run), Address(page=name, latent=latent))[0])


@pytest.fixture
def run(demo_run, tmp_path):
    shutil.copytree(demo_run.path, tmp_path / "run")
    return tmp_path / "run"


def test_logits_that_an_encoder_cannot_have_are_explained_and_not_asked_for(run) -> None:
    for name in ("logits", "logit_histograms"):
        (run / "results" / f"{name}.parquet").unlink()
    analysis = run / "results" / "analysis.json"
    analysis.write_text(json.dumps({**json.loads(analysis.read_text()), "notes": [NOTE]}))
    page = shown(run, "feature", 3)
    assert page.count(NOTE) == 2 and "msae analyze" not in page
    analysis.unlink()
    assert "msae analyze" in shown(run, "feature", 3)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name or "nest")
def test_a_run_that_was_not_analyzed_says_so_once(run, page) -> None:
    shutil.rmtree(run / "results")
    text = shown(run, page.name, 3 if page is FEATURE else None)
    assert text.count('class="notice"') == text.count('class="command"') == 1
    assert "msae analyze" in text


def test_an_overview_without_an_evaluation_shows_what_there_is(run) -> None:
    (run / "results" / "levels.json").unlink()
    text = shown(run, "run")
    assert "msae eval" in text and "msae analyze" not in text
    assert "density-by-level" in text and "training-curves" in text and "level-table" not in text


@pytest.fixture
def one_level(run):
    """The run as if all its latents were of one level."""
    file = run / "results" / "features.parquet"
    features = pq.read_table(file)
    place = features.column_names.index("level")
    level = pa.array(np.zeros(len(features), dtype=np.int16))
    pq.write_table(features.set_column(place, features.schema.field("level").with_type(level.type), level), file)
    return run


@pytest.mark.parametrize("name", ["tree", "splitting", "absorption", "compare"])
def test_a_run_of_one_level_is_not_compared_with_itself(one_level, name) -> None:
    page = shown(one_level, name)
    assert "This run has one level" in page and page.count('class="notice"') == 1
    assert not [panel for panel in ("compare-map", "tree-map", "splitting-levels", "absorption-pairs") if panel in page]
    if name == "compare":
        assert "msae compare" in page
    if name == "absorption":
        assert "Labelled concepts" in page


def test_a_latent_that_never_fires_gets_one_notice_and_what_it_has(demo_run, run) -> None:
    file = run / "results" / "features.parquet"
    features = pq.read_table(file)
    tokens = features["n_tokens"].to_numpy().copy()
    tokens[7] = 0
    place = features.column_names.index("n_tokens")
    column = pa.array(tokens, features.schema.field("n_tokens").type)
    pq.write_table(features.set_column(place, features.schema.field("n_tokens"), column), file)
    page = shown(run, "feature", 7)
    assert page.count("never fires on the sample") == 1 and "Nearest directions" in page
    assert "activation-histogram" not in page and "examples" not in page


def test_lists_go_on(run, monkeypatch) -> None:
    """A list longer than a page has the pages after it, and a pick shows the page it is on."""
    from msae_dashboards.pages.absorption import pairs

    tables = RunTables(run)
    found = pairs.tested(tables)
    monkeypatch.setattr(pairs, "SHOWN", 2)
    first = shown(run, "absorption")
    assert f"1 – 2 of {len(found):,}" in first and 'href="/absorption?page=2"' in first
    row = found.slice(2, 1).to_pylist()[0]
    page = next(page for page in PAGES if page.name == "absorption")
    address = Address(page="absorption", latent=row["parent"], query={"child": str(row["child"])})
    assert f"3 – {min(4, len(found))} of {len(found):,}" in write(page.render(tables, address)[0])
