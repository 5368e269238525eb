"""The command line on real models at tiny sizes: the demo in a process of its own, as a user runs it, the rest here."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

import msae
from msae.cli import main

TINY = [
    "--harvest-tokens",
    "6000",
    "--train-tokens",
    "40960",
    "--widths",
    "32",
    "128",
    "--k",
    "6",
    "--eval-tokens",
    "1500",
]


def run(*arguments, cwd, ok=True):
    """What `msae` with these arguments says, and its exit status."""
    stdout, stderr, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        patch.setattr("sys.argv", ["msae", *map(str, arguments)])
        patch.chdir(cwd)
        try:
            main()
        except SystemExit as stopped:
            status = stopped.code
    done = SimpleNamespace(returncode=status, stdout=stdout.getvalue(), stderr=stderr.getvalue())
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done


def run_process(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "msae", *arguments], cwd=cwd, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder in which the demo was run at a tiny size, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    done = run_process("demo", *TINY, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_a_process_ends_with_status_2_and_one_line(tmp_path):
    done = run_process("info", "nowhere", cwd=tmp_path)
    assert done.returncode == 2 and "no folder nowhere" in done.stderr and len(done.stderr.splitlines()) == 1


def test_demo_ends_in_a_table_of_levels_and_a_run_that_opens(demo):
    folder, done = demo
    levels = json.loads((folder / "runs/demo/results/levels.json").read_text())["levels"]
    assert [row["width"] for row in levels] == [32, 128]
    assert levels[1]["fvu"] < levels[0]["fvu"] < 1
    assert 0 < levels[0]["ce_recovered"] < levels[1]["ce_recovered"] <= 1
    assert (
        "recovered" in done.stdout and "There are no intervals" in done.stdout and "msae info runs/demo" in done.stdout
    )
    assert done.stdout.splitlines()[-1].strip().startswith("msae dashboard runs/demo ")
    assert all(said in done.stdout for said in ("Feature tree:", "Splitting:", "Absorption (unsupervised)"))
    assert (folder / "runs/demo/results/levels.html").stat().st_size > 100_000
    sae = msae.load(folder / "runs/demo")
    assert sae.prefix_widths == (32, 128) and not sae.training


def test_demo_again_uses_what_is_there(demo):
    folder, first = demo
    weights = (folder / "runs/demo/sae/sae_weights.safetensors").read_bytes()
    again = run("demo", *TINY, cwd=folder)
    assert again.stdout == first.stdout
    assert (folder / "runs/demo/sae/sae_weights.safetensors").read_bytes() == weights


def test_info_says_what_each_folder_is(demo):
    folder, _ = demo
    assert "6,000 of 256" in run("info", "acts/demo", cwd=folder).stdout
    assert "BatchTopK(k=6)" in run("info", "runs/demo/sae", cwd=folder).stdout
    about_run = run("info", "runs/demo", cwd=folder).stdout
    assert "finished" in about_run and "levels.json" in about_run
    for name in ("features", "tree", "splitting", "absorption"):
        assert re.search(rf"{name}\.parquet +[\d,]+ rows, each \w+", about_run)
    assert "is no store" in run("info", ".", cwd=folder, ok=False).stderr


def test_train_twice_says_that_the_run_exists_and_what_to_do(demo):
    folder, _ = demo
    command = [
        "train",
        "--store",
        "acts/demo",
        "--widths",
        "16",
        "64",
        "--k",
        "4",
        "--tokens",
        "20480",
        "--out",
        "runs/a",
    ]
    assert "level 1: width 64" in run(*command, cwd=folder).stdout
    refused = run(*command, cwd=folder, ok=False)
    assert refused.returncode == 2
    assert "runs/a holds a finished run" in refused.stderr and "--replace" in refused.stderr
    assert "Traceback" not in refused.stderr
    run(*command, "--replace", cwd=folder)


def test_harvest_train_eval_on_text_of_ones_own(demo):
    folder, _ = demo
    for number in range(3):
        lines = (f"def f{number}_{i}(x):\n    return x * {i}\n" for i in range(400))
        (folder / f"{number}.txt").write_text("".join(lines))
    run(
        "harvest", "--model", "demo", "--layer", 2, "--text", "*.txt", "--tokens", 4000, "--out", "acts/own", cwd=folder
    )
    run("train", "--store", "acts/own", "--widths", 64, "--k", 4, "--tokens", 8192, "--batch-size", 512,
        "--out", "runs/own", cwd=folder)  # fmt: skip
    assert "n/a" not in run("eval", "runs/own", "--tokens", 500, cwd=folder).stdout
    exists = run("harvest", "--model", "demo", "--layer", 2, "--text", "*.txt", "--tokens", 4000, "--out", "acts/own",
                 cwd=folder, ok=False)  # fmt: skip
    assert exists.returncode == 2 and "acts/own" in exists.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "--store", "nowhere", "--widths", "64", "--out", "r"], "nowhere"),
        (["train", "--store", "acts/demo", "--widths", "64", "32", "--out", "r"], "increasing"),
        (["train", "--store", "acts/demo", "--widths", "64", "--k", "65", "--out", "r"], "d_sae = 64"),
        (
            ["train", "--store", "acts/demo", "--widths", "64", "--k", "1.5", "--activation", "topk", "--out", "r"],
            "whole",
        ),
        (["train", "--store", "acts/demo", "--widths", "64", "--l1", "0.1", "--out", "r"], "--activation relu"),
        (
            ["train", "--store", "acts/demo", "--widths", "64", "--out", "r", "--device", "tpu9"],
            "--device 'tpu9' is not",
        ),
        (["train", "--store", "acts/demo", "--widths", "64", "--out", "r", "--level-weights", "balanced"], "several"),
        (["info", "nowhere"], "no folder nowhere"),
        (["harvest", "--model", "demo", "--layer", "99", "--demo-text", "--out", "s"], "99"),
        (
            ["harvest", "--model", "demo", "--hook", "blocks.2.hook_resid_pots", "--demo-text", "--out", "s"],
            "hook_resid_post",
        ),
        (["harvest", "--model", "demo", "--layer", "2", "--out", "s"], "no text was given"),
        (["harvest", "--model", "demo", "--layer", "2", "--text", "none/*.md", "--out", "s"], "none/*.md"),
        (["eval", "acts/demo"], "not a run"),
        (["analyze", "acts/demo"], "not a run"),
        (["trian"], "trian"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_a_wrong_argument_is_one_clear_message(demo, arguments, says):
    folder, _ = demo
    done = run(*arguments, cwd=folder, ok=False)
    assert done.returncode == 2
    assert says in done.stderr and "Traceback" not in done.stderr
    assert not (folder / "r").exists() and not (folder / "s").exists()


def test_the_demo_with_other_settings_does_not_pass_off_what_is_there(demo):
    folder, _ = demo
    for changed, says in (["--k", 7], "activation_fn.k"), (["--layer", 2], "hook_name"):
        refused = run("demo", *TINY, *changed, cwd=folder, ok=False)
        assert refused.returncode == 2 and says in refused.stderr, refused.stderr


def test_replace_deletes_nothing_before_what_replaces_it_is_known_to_work(demo):
    folder, _ = demo
    model = folder / "a-model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "gpt2"}')
    (model / "weights").write_text("precious")
    run("train", "--store", "acts/demo", "--widths", 64, "--k", 4, "--out", model, "--replace", cwd=folder, ok=False)
    assert (model / "weights").read_text() == "precious"
    run("train", "--store", "gone", "--widths", 64, "--out", "runs/demo", "--replace", cwd=folder, ok=False)
    run("harvest", "--model", "demo", "--layer", 99, "--demo-text", "--out", "acts/demo", "--replace", cwd=folder,
        ok=False)  # fmt: skip
    assert (folder / "runs/demo/sae/cfg.json").exists() and (folder / "acts/demo/manifest.json").exists()


@pytest.mark.slow
def test_the_demo_at_full_size_keeps_its_promises(tmp_path):
    """FVU falls with level, CE recovered is at least 0.90 at full width, under 10% dead, L0 within 2% of k."""
    run_full = subprocess.run([sys.executable, "-m", "msae", "demo"], cwd=tmp_path, capture_output=True, text=True)
    assert run_full.returncode == 0, run_full.stderr
    levels = json.loads((tmp_path / "runs/demo/results/levels.json").read_text())["levels"]
    fvus = [row["fvu"] for row in levels]
    assert fvus == sorted(fvus, reverse=True)
    assert levels[-1]["ce_recovered"] >= 0.90
    assert sum(row["dead"] for row in levels) < 0.1 * levels[-1]["width"]
    k = msae.load(tmp_path / "runs/demo").activation_fn.target_l0()
    assert abs(levels[-1]["l0"] - k) <= 0.02 * k
