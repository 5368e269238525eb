"""`msae harvest --pooling`, `msae nest` and `msae embed`, one after the other, and what they refuse."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pyarrow.parquet as pq
import pytest

from msae.cli import main
from msae.nested import MatryoshkaHead, PcaPrefix, SaeCodes, load_code, save_code
from msae.sae import save

LINES = [("import os", "import"), ("import sys", "import"), ("def f(x):", "def"), ("def g(y, z):", "def")] * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("commands")
    rows = "".join(f'"{text}",{kind}\n' for text, kind in LINES)
    (path / "lines.csv").write_text(f"text,kind\n{rows}")
    run("harvest --model demo --layer 3 --csv lines.csv --pooling last --tokens 16 --holdout-tokens 0 --out acts", path)
    return path


def run(line: str, cwd, *, ok: bool = True) -> str:
    stdout, stderr, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        patch.setattr("sys.argv", ["msae", *line.split()])
        patch.chdir(cwd)
        try:
            main()
        except SystemExit as stopped:
            status = stopped.code
    assert (status in (0, None)) == ok, stdout.getvalue() + stderr.getvalue()
    if not ok:
        assert status == 2 and len(stderr.getvalue().splitlines()) == 1, stderr.getvalue()
    return stdout.getvalue() if ok else stderr.getvalue()


def test_components_and_vectors_of_texts_and_store_agree(folder):
    out = run("nest --store acts --widths 2 8 --out codes/pca", folder)
    assert "level 0:     2 numbers,      8.0 bytes an item" in out and "msae embed --store acts" in out
    assert isinstance(load_code(folder / "codes/pca"), PcaPrefix)
    assert "16 vectors of 2 numbers" in run("embed --store acts --code codes/pca --level 0 --out a.npy", folder)
    run("embed --csv lines.csv --code codes/pca --dimensions 2 --out b.parquet --device cpu", folder)
    stored, read = np.load(folder / "a.npy"), np.array(pq.read_table(folder / "b.parquet")["vector"].to_pylist())
    np.testing.assert_allclose(stored, read, atol=5e-3)  # the store is float16
    np.testing.assert_allclose(np.linalg.norm(stored, axis=1), 1, atol=1e-5)
    run("embed --csv lines.csv --model demo --layer 3 --dimensions 5 --no-normalise --out c.npy", folder)
    assert np.load(folder / "c.npy").shape == (16, 5)


def test_a_head_tells_the_labels_apart(folder):
    run("nest --store acts --kind head --objective classes --labels lines.csv --label-column kind --widths 1 4"
        " --steps 100 --batch-size 8 --out codes/head", folder)  # fmt: skip
    head = load_code(folder / "codes/head")
    assert isinstance(head, MatryoshkaHead) and head.classes == ("def", "import")
    from msae.activations.store import ActivationStore

    store = ActivationStore.open(folder / "acts")
    found = [head.classes[i] for i in head.logits(store.rows(0, 16), 0).argmax(1)]
    assert found == [kind for _, kind in LINES]
    assert "holds a code" in run("nest --store acts --out codes/head", folder, ok=False)
    run("nest --store acts --out codes/head --widths 4 --replace", folder)
    assert isinstance(load_code(folder / "codes/head"), PcaPrefix)


def test_an_saes_levels_become_a_code(folder):
    from msae.sae import BatchTopK, FixedPrefixes, SparseAutoencoder

    sae = SparseAutoencoder(256, 32, BatchTopK(k=4), FixedPrefixes((8, 32))).eval()
    sae.threshold.data.fill_(0.01)
    save(sae, folder / "sae")
    assert "level 1:    32 numbers" in run("nest --store acts --kind sae --sae sae --k 2 --out codes/sae", folder)
    code = load_code(folder / "codes/sae")
    assert isinstance(code, SaeCodes) and code.k == 2


def test_classes_are_told_apart_by_level(folder):
    run("nest --store acts --widths 1 4 --out codes/classify", folder)
    line = "classify --code codes/classify --train acts --train-labels lines.csv --test acts --test-labels lines.csv"
    out = run(f"{line} --label-column kind --valid-share 0.5 --out told", folder)
    assert "What each level is worth" in out and "softmax regressions" in out and "Early exit" in out
    levels = pq.read_table(folder / "told/classify_levels.parquet").to_pylist()
    classes = pq.read_table(folder / "told/classify_classes.parquet").to_pylist()
    assert [row["width"] for row in levels] == [1, 4] and levels[1]["accuracy"] == 1.0
    assert {row["class"] for row in classes} == {"def", "import"} and sum(row["rows"] for row in classes) == 8
    assert "plotly" in (folder / "told/classify.html").read_text()
    run("nest --store acts --kind head --objective classes --labels lines.csv --label-column kind --widths 1 4"
        " --steps 100 --batch-size 8 --out codes/own", folder)  # fmt: skip
    own = "classify --code codes/own --test acts --test-labels lines.csv --label-column kind --out told2"
    assert "trained with the code" in run(own, folder)


def test_texts_are_found(folder):
    run("nest --store acts --widths 2 4 8 --out codes/search", folder)
    out = run("index --csv lines.csv --code codes/search --out found", folder)
    assert "16 items" in out and "msae search found" in out
    for plan in ("exact", "adaptive --shortlist 4", "funnel --level 1"):
        out = run(f"search found import --k 4 --plan {plan}", folder)
        assert len([line for line in out.splitlines() if "import" in line]) == 4
    described = run("info found", folder)
    assert "16, " in described and "PcaPrefix" in described and "pooled" in described
    assert "level 0   2 numbers, 8.0 bytes an item" in run("info codes/search", folder)
    run("index --store acts --out found-rows", folder)
    assert "lines.csv#" in run("search found-rows import", folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("search nowhere import", "give the folder of an index"),
        ("search found2 import --level 3", "one of [0, 1, 2]"),
        ("search found2 import --plan funnel --first 3", "a level from 0 to 2"),
        ("search found2 import --k 0", "positive numbers of items"),
        ("index --csv lines.csv --out found2 --code codes/search2", "finished index"),
        ("index --out x", "one of the two"),
        ("index --csv lines.csv --out x", "--layer or --hook"),
        ("index --csv lines.csv --model demo --layer 2 --code codes/search2 --out x", "hook_name"),
        ("index --store acts --code codes/search2 --level 5 --out x", "levels 0 … 2"),
    ],
)
def test_what_cannot_be_searched_is_named(line, message, folder):
    if not (folder / "found2").exists():
        run("nest --store acts --widths 2 4 8 --out codes/search2", folder)
        run("index --store acts --code codes/search2 --out found2", folder)
    assert message in run(line, folder, ok=False) and not (folder / "x").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("classify --code codes/pca2 --test acts --test-labels lines.csv --out x", "no column 'label'"),
        ("classify --code codes/pca2 --test acts --test-labels lines.csv --label-column kind --out x",
         "without classes"),
        ("classify --code codes/pca2 --train acts --test acts --test-labels lines.csv --out x", "together"),
        ("classify --code codes/pca2 --test acts --test-labels nowhere.csv --out x", "nowhere.csv"),
        ("classify --code codes/pca2 --test acts --test-labels short.csv --label-column kind --out x",
         "short.csv has 1 rows and the store 16"),
    ],
)  # fmt: skip
def test_labels_that_are_missing_are_named(line, message, folder):
    if not (folder / "codes/pca2").exists():
        run("nest --store acts --widths 2 --out codes/pca2", folder)
        (folder / "short.csv").write_text("text,kind\nimport os,import\n")
    assert message in run(line, folder, ok=False) and not (folder / "x").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("embed --store acts --dimensions 300 --out x.npy", "gives 1 to 256"),
        ("embed --store acts --level 0 --out x.npy", "no levels"),
        ("embed --store acts --csv lines.csv --out x.npy", "one of the two"),
        ("embed --out x.npy", "one of the two"),
        ("embed --csv lines.csv --out x.npy", "--layer or --hook"),
        ("embed --csv lines.csv --layer 3 --out x.npy", "need --model"),
        ("embed --store acts --out x.txt", "ends in .parquet or .npy"),
        ("embed --store acts --code nowhere --out x.npy", "does not exist"),
        ("nest --store acts --kind head --objective classes --out codes/x", "needs labels"),
        ("nest --store acts --kind sae --out codes/x", "needs --sae"),
        ("nest --store acts --widths 300 --out codes/x", "at most 256"),
        ("nest --store acts --out lines.csv", "is not a code"),
        ("harvest --model demo --layer 3 --csv lines.csv --text-field txt --pooling last --out y", "no column 'txt'"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(line, message, folder):
    assert message in run(line, folder, ok=False)
    assert not (folder / "x.npy").exists() and not (folder / "codes/x").exists()


def test_a_code_of_other_rows_is_refused(folder, rows):
    import torch

    save_code(PcaPrefix.fit(torch.eye(256), (2,)), folder / "codes/plain")
    code = load_code(folder / "codes/plain")
    run(
        "harvest --model demo --layer 2 --csv lines.csv --pooling last --tokens 16 --holdout-tokens 0 --out acts2",
        folder,
    )
    run("nest --store acts --widths 2 --out codes/three", folder)
    assert "hook_name" in run("embed --store acts2 --code codes/three --out x.npy", folder, ok=False)
    assert code.source is None
    run("embed --store acts2 --code codes/plain --out y.npy", folder)
