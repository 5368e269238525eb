"""The whole way on a tiny GPT-2 and on activations without a model, from Python and from the shell."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console

import msae
from msae.activations.synthetic import SyntheticSource
from msae.analysis.features import CollectSettings
from msae.analysis.sample import PairSettings
from msae.analysis.tables import meanings, read_table, row_of
from msae.core.errors import ConfigError, EvaluationError, MismatchError, StoreError
from msae.studies.analyze_run import analyze_run
from msae.studies.info import describe

COLLECTED = {"features", "histograms", "bands", "examples", "pairs", "neighbours"}
MEASURED = {"tree", "splitting", "splitting_levels", "absorption", "absorption_levels", "absorption_tokens"}
MEASURED |= {"rate_distortion", "explanations", "splitting_tokens", "level_pairs", "level_overlap"}
FOREST = msae.SyntheticForest(d_in=24, n_roots=6, root_rate=0.15, branching=(2,))


def train_tiny(store: msae.ActivationStore, path: Path) -> msae.Run:
    sae = msae.SparseAutoencoder(store.d_in, 48, msae.BatchTopK(k=4), msae.FixedPrefixes((16, 48)))
    config = msae.TrainConfig(n_tokens=20 * 512, batch_size=512)
    return msae.train(sae, store, config, path, progress=False)


def harvested(path: Path, seed: int = 0) -> msae.ActivationStore:
    source = SyntheticSource(forest=FOREST, context_size=64, seed=seed)
    documents = (msae.Document(str(number), "") for number in range(10**6))
    return msae.harvest(source, documents, n_tokens=3000, path=path, holdout_tokens=640, progress=False)


@pytest.fixture(scope="module")
def forest_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forest")
    return train_tiny(harvested(folder / "acts"), folder / "run")


@pytest.fixture(scope="module")
def gpt2_run(tmp_path_factory):
    """A GPT-2 of two layers with random weights that reads bytes, its store of multilingual text, and a run on it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, GPT2Config, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("gpt2")
    letters = ["<|endoftext|>", "<pad>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    config = GPT2Config(vocab_size=len(letters), n_embd=24, n_layer=2, n_head=3, n_positions=48, initializer_range=0.2,
                        bos_token_id=0, eos_token_id=0, pad_token_id=1)  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(2)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder / "model")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>", pad_token="<pad>"
    ).save_pretrained(folder / "model")
    source = msae.TransformerLensSource(folder / "model", layer=1, context_size=32, device="cpu")
    texts = [f"{number} größere Bäume, 四つ目の木 and the {number}th tree\n" * 6 for number in range(30)]
    documents = msae.string_documents(texts)
    store = msae.harvest(source, documents, n_tokens=4000, path=folder / "acts", holdout_tokens=0, progress=False)
    return train_tiny(store, folder / "run")


def test_all_tables_are_written_and_say_what_they_hold(forest_run):
    found = analyze_run(forest_run, progress=False)
    assert {file.stem for file in forest_run.results.glob("*.parquet")} == COLLECTED | MEASURED
    for file in forest_run.results.glob("*.parquet"):
        assert all(meanings(read_table(file)).values()), file
    about = json.loads((forest_run.results / "analysis.json").read_text())
    assert about["sample"]["n_tokens"] == msae.ActivationStore.open(forest_run.store_path).n_rows
    assert "the SAE was trained on (its holdout has" in about["sample"]["rows"]
    assert about["sample"]["fingerprint"] == msae.ActivationStore.open(forest_run.store_path).fingerprint
    assert about["tree"] == dict(found.results["tree"].summary)
    assert "synthetic" in about["notes"][0]
    assert not list(forest_run.results.glob(".*"))
    said = describe(forest_run.path)
    assert re.search(r"features\.parquet +48 rows, each a latent", said)
    for file in forest_run.results.glob("*.parquet"):
        row = row_of(read_table(file).schema)
        assert row and re.search(rf"{re.escape(file.name)} +\S+ rows, each {re.escape(row)}\n", said), file
    assert re.search(r"analysis\.json +the sample and the headline figures", said)


def test_a_truncated_table_is_named_and_leaves_the_others_readable(forest_run, tmp_path):
    shutil.copytree(forest_run.path, tmp_path / "run")
    run = msae.Run.open(tmp_path / "run")
    analyze_run(run, progress=False)
    tree = run.results / "tree.parquet"
    tree.write_bytes(tree.read_bytes()[:-40])
    with pytest.raises(EvaluationError, match=r"tree\.parquet is no readable Parquet table .*analyze the run again"):
        read_table(tree)
    said = describe(run.path)
    assert re.search(r"tree\.parquet +damaged: analyze the run again", said)
    assert re.search(r"features\.parquet +48 rows", said)
    analyze_run(run, progress=False)
    assert read_table(tree).column_names[:2] == ["parent", "child"]


def test_the_holdout_another_store_and_fewer_tokens(forest_run, tmp_path):
    holdout = msae.ActivationStore.open(forest_run.store_path).holdout
    found = analyze_run(forest_run, holdout=True, progress=False)
    assert found.sample["n_tokens"] == holdout.n_rows
    assert "which the SAE was not trained on" in found.sample["rows"]
    assert analyze_run(forest_run, tokens=500, progress=False).sample["n_tokens"] == 500
    other = harvested(tmp_path / "other", seed=1)
    with pytest.raises(MismatchError, match="revision"):
        analyze_run(forest_run, store=other.path, progress=False)
    with pytest.warns(UserWarning, match="force=True"):
        found = analyze_run(forest_run, store=other.path, progress=False, force=True)
    assert "not the store that the SAE was trained on" in found.sample["rows"]
    with pytest.raises(ConfigError, match="not both"):
        analyze_run(forest_run, holdout=True, trained_on=True)


def test_rows_never_trained_on_are_taken_where_latents_fire_often_enough(forest_run, monkeypatch):
    store = msae.ActivationStore.open(forest_run.store_path)
    monkeypatch.setattr("msae.studies.analyze_run.LEAST_FIRINGS", 40)  # 832 rows of L0 4 over 48 latents: 69
    found = analyze_run(forest_run, progress=False)
    assert found.sample["n_tokens"] == store.holdout.n_rows and found.sample["store"] == str(store.holdout.path)
    assert "which the SAE was not trained on" in found.sample["rows"]
    assert analyze_run(forest_run, trained_on=True, progress=False).sample["n_tokens"] == store.n_rows


def test_the_rate_is_of_rows_never_trained_on_even_where_the_rest_is_not(forest_run):
    holdout = msae.ActivationStore.open(forest_run.store_path).holdout
    result = analyze_run(forest_run, trained_on=True, progress=False).results["rate_distortion"]
    assert result.summary["n_tokens"] == holdout.n_rows and "holdout" in result.summary["rows"]
    finest = result.tables["rate_distortion"].to_pylist()[4]
    table = msae.evaluate_rows(forest_run.sae, holdout, quantiser_step=finest["step"], progress=False)
    assert finest["fvu"] == pytest.approx(table.levels[0].fvu_quantised, rel=1e-4)
    assert finest["bits"] == pytest.approx(table.levels[0].bits)


def test_refusals(forest_run, tmp_path):
    with pytest.raises(StoreError, match="nowhere"):
        analyze_run(forest_run, store=tmp_path / "nowhere")
    holdout = msae.ActivationStore.open(forest_run.store_path).holdout
    with pytest.raises(EvaluationError, match="no holdout"):
        analyze_run(forest_run, store=holdout.path, holdout=True)


def test_a_language_model_gives_tokens_their_text_and_latents_their_logits(gpt2_run):
    settings = CollectSettings(pairs=PairSettings(min_tokens=5))
    found = analyze_run(gpt2_run, settings=settings, progress=False)
    assert found.notes == ()
    examples = found.tables["examples"].to_pylist()
    tokens = {row["token"] for row in examples}
    assert {"ö", "ß", "ä", "四"} & tokens and "\ufffd" not in tokens
    passages = ["".join(row["context_tokens"]) for row in examples]
    assert any("größere Bäume" in passage for passage in passages)
    features = found.tables["features"].to_pylist()
    assert any(row["top_tokens"] for row in features)
    assert found.tables["logits"].num_rows == 48 * 2 * 8
    console = Console(width=160, record=True, file=io.StringIO())
    for part in found.shown():
        console.print(part)
    said = console.export_text()
    assert "Feature tree:" in said and "Splitting:" in said and "Absorption (unsupervised)" in said
    said = " ".join(said.split())
    assert "Concepts: the first level" in said and "Absorption of labelled concepts" in said
    assert re.search(r"(\d+) of \1 documents are labelled \(first letter, words\)", said)
    by_name = {row["concept"]: row for row in found.results["probes"].tables["concepts"].to_pylist()}
    assert by_name["t… (words)"]["status"] == "ok" and by_name["q… (words)"]["status"] == "too few tokens"
    assert "chanin_2409: n/a: the tokenizer has 0 letters and 0 words that are one token each" in said
    assert (gpt2_run.results / "concepts.html").is_file()
    for name in ("concepts", "probes", "concept_absorption", "concept_absorption_levels"):
        assert f"{name}.parquet" in describe(gpt2_run.path)


def test_labels_of_ones_own(gpt2_run, tmp_path):
    store = msae.ActivationStore.open(gpt2_run.store_path)
    tokens = store.tokens(0, store.n_rows)
    ends = (tokens.token_id == tokens.token_id.mode().values).nonzero()[:, 0]
    labels = {"document": tokens.document[ends].tolist(), "offset": tokens.offset[ends].tolist()}
    pq.write_table(pa.table({**labels, "label": ["blank"] * len(ends)}), tmp_path / "mine.parquet")
    found = analyze_run(gpt2_run, concepts=tmp_path / "mine.parquet", progress=False)
    (row,) = (row for row in found.results["probes"].tables["concepts"].to_pylist() if row["concept"] == "blank")
    assert row["family"] == "labels given" and row["status"] == "ok" and row["probe_f1"] > 0.7
    with pytest.raises(EvaluationError, match=r"elsewhere\.parquet does not exist"):
        analyze_run(gpt2_run, concepts=tmp_path / "elsewhere.parquet", tokens=500, progress=False)
    without = analyze_run(gpt2_run, tokens=500, concept_tokens=0, progress=False)
    assert "probes" not in without.results


def test_from_the_shell(gpt2_run):
    command = [sys.executable, "-m", "msae", "analyze", str(gpt2_run.path), "--tokens", "1500"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Feature tree:" in done.stdout and "Absorption (unsupervised)" in done.stdout
    assert "Traceback" not in done.stderr


def test_independent_baselines_are_measured_and_shown_beside_the_nested_run(nested, tmp_path):
    found = analyze_run(nested.run, progress=False)
    levels = found.results["splitting_independent"].tables["splitting_independent_levels"].to_pylist()
    assert [(row["parent_level"], row["child_level"]) for row in levels] == [(0, 1)]
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(*found.shown())
    assert "between SAEs trained independently, of widths 6, 24" in console.export_text()
    assert re.search(
        r"splitting_independent_levels\.parquet +1 rows, each two independent SAEs", describe(nested.run.path)
    )
    assert "splitting_independent" in json.loads((nested.run.results / "analysis.json").read_text())
    shutil.copytree(nested.run.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/independent/24/sae")
    partly = analyze_run(msae.Run.open(tmp_path / "run"), progress=False)
    assert "splitting_independent" not in partly.results
    assert any("6 finished: msae train --independent" in note for note in partly.notes)


def test_the_rate_has_cross_entropies_where_there_is_a_model_and_a_holdout(tmp_path, gpt2_run):
    source = msae.TransformerLensSource(gpt2_run.sae.source.model_path, layer=1, context_size=32, device="cpu")
    documents = msae.string_documents([f"the {number}th tree of {number % 7}\n" * 6 for number in range(40)])
    store = msae.harvest(source, documents, n_tokens=2000, path=tmp_path / "acts", holdout_tokens=400, progress=False)
    found = analyze_run(gpt2_run, store=store.path, progress=False)
    rows = found.results["rate_distortion"].tables["rate_distortion"].to_pylist()
    assert all(row["ce"] > 0 for row in rows) and found.results["rate_distortion"].summary["n_predictions"] > 300
    assert (gpt2_run.results / "rate_distortion.html").is_file()
    without = analyze_run(gpt2_run, progress=False).results["rate_distortion"].tables["rate_distortion"].to_pylist()
    assert all(row["ce"] is None and row["fvu"] > 0 for row in without)  # that store has no holdout


def test_fewer_tokens_than_a_statistic_needs_are_named_and_nothing_is_nan(nested, tmp_path):
    shutil.copytree(nested.run.path, tmp_path / "run")
    found = analyze_run(msae.Run.open(tmp_path / "run"), tokens=12, progress=False)
    tables = {name: table for result in found.results.values() for name, table in result.tables.items()}
    for name in ("splitting_levels", "splitting_independent_levels"):  # the rate is of the holdout
        statuses = set(tables[name]["status"].to_pylist())
        assert statuses <= {"too few tokens", "never fires"} and "too few tokens" in statuses, name
    for table in (*tables.values(), *found.tables.values()):
        floats = [column for column in table.columns if pa.types.is_floating(column.type)]
        assert not any(pc.any(pc.is_nan(column.drop_null())).as_py() for column in floats)
    json.loads((tmp_path / "run/results/analysis.json").read_text())
