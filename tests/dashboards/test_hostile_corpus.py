"""A corpus that tries to break out, from its text through the model, the store and the analysis to every page."""

from __future__ import annotations

import pytest

import msae
import msae.demo
from msae.data.documents import string_documents
from msae.studies.analyze_run import analyze_run
from msae_dashboards.address import Address
from msae_dashboards.data.tables import RunTables
from msae_dashboards.notebook import feature
from msae_dashboards.pages import FEATURE, PAGES
from msae_dashboards.view.html import write
from tests.dashboards.conftest import HOSTILE
from tests.dashboards.view.reader import Reader

SPLIT = "🐈 🧑‍🚀 naïve ﷽ 𝔘𝔫𝔦"  # characters that the tokenizer, which knows Python, takes apart into bytes
WIDTHS = (8, 32)


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> RunTables:
    """A run trained and analyzed on nothing else."""
    folder = tmp_path_factory.mktemp("corpus")
    source = msae.TransformerLensSource(msae.demo.model_path(), layer=3, context_size=64)
    short = [text[:200] for text in HOSTILE]  # a run of one letter would crowd out the rest
    texts = [f"{number} {' '.join([SPLIT, *short[number:], SPLIT]) * 4}" for number in range(len(short))]
    store = msae.harvest(source, string_documents(texts), n_tokens=6_000, path=folder / "acts", holdout_tokens=500)
    sae = msae.SparseAutoencoder(store.d_in, WIDTHS[-1], msae.BatchTopK(k=4), msae.FixedPrefixes(WIDTHS))
    run = msae.train(sae, store, msae.TrainConfig(n_tokens=20_000, batch_size=512), folder / "run")
    analyze_run(run, progress=False)
    return RunTables(run.path)


def test_the_pages_show_it_as_text(tables) -> None:
    shown = ""
    for page in PAGES:
        for latent in range(0, WIDTHS[-1], 3) if page is FEATURE else [None]:
            read = Reader(write(page.render(tables, Address(page=page.name, latent=latent))[0]))
            scripts = [attributes for tag, attributes in read.tags if tag == "script"]
            assert all(attributes == {"type": "application/json"} for attributes in scripts)
            assert not any(tag in ("img", "iframe") for tag, _ in read.tags)
            assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)
            shown += read.text
    assert all(part in shown for part in ("🐈", "naïve", "stolen", "<"))
    assert not any(hidden in shown for hidden in ("\u202e", "\u200b", "\ufeff", "\x00"))
    assert "⟨202E⟩" in shown


def test_characters_split_over_tokens_are_whole(tables) -> None:
    texts = {"".join(row["context_tokens"]) for latent in range(WIDTHS[-1]) for row in tables.rows("examples", latent)}
    assert any("🐈" in text for text in texts) and any("🧑‍🚀" in text for text in texts)
    middles = [text[3:-3] for text in texts]  # at its ends a context may cut a character
    assert middles and not any("\ufffd" in middle for middle in middles)


def test_a_cell_shows_it_as_text(tables) -> None:
    latent = int(tables.features().density.argmax())
    read = Reader(feature(tables.run, latent).document)
    assert not any(tag == "img" for tag, _ in read.tags)
    assert sum(tag == "script" and "type" not in attributes for tag, attributes in read.tags) == 2
