"""The training script at a tiny size: a killed run ends with the same bits, and refuses what it cannot go on with."""

from __future__ import annotations

import dataclasses
import importlib.util
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from msae.core.errors import ConfigError, CorpusError
from msae.demo.corpus import Corpus, Root
from msae.demo.tokenizer import train_tokenizer

SCRIPT = Path(__file__).parents[2] / "experiments" / "studies" / "train_demo_lm.py"
TINY = {"batch": 2, "context": 16, "d_model": 16, "layers": 2, "heads": 2, "d_mlp": 32, "vocab": 300, "threads": 1}
STEPS = 12

# Runs the script's functions and is killed at the worst moment: the second checkpoint is written, not yet in place.
KILLED = """
import importlib.util, os, pathlib, signal, sys
spec = importlib.util.spec_from_file_location("train_demo_lm", sys.argv[1])
script = importlib.util.module_from_spec(spec)
sys.modules["train_demo_lm"] = script
spec.loader.exec_module(script)
save_file, saved = script.save_file, []
def save_and_die(*arguments):
    save_file(*arguments)
    saved.append(1)
    if len(saved) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
script.save_file = save_and_die
script.torch.set_num_threads(1)
script.train(script.TrainLM(out=pathlib.Path(sys.argv[2]), **eval(sys.argv[3])))
"""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_demo_lm", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_demo_lm"] = module  # where dataclasses look its annotations up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Corpus]:
    folder = tmp_path_factory.mktemp("source")
    for i in range(60):
        body = "".join(f"    total_{j} = start + {i * j}  # add the product to the start\n" for j in range(8))
        (folder / f"module_{i}.py").write_text(f'def add_{i}(start):\n    """Add up."""\n{body}    return total_7\n')
    roots = (Root(group="sums", name="sums", path=folder),)
    return {split: Corpus(split, roots=roots, min_bytes=1000) for split in ("train", "heldout")}


def settings(out: Path, script: ModuleType, **changed: object) -> object:
    options = {
        **TINY,
        "tokens": STEPS * 32,
        "checkpoint_steps": 3,
        "export_steps": 100,
        "heldout_bytes": 1500,
        **changed,
    }
    return script.TrainLM(out=out, **options)


@pytest.fixture
def prepared(tmp_path: Path, script: ModuleType, corpora: dict[str, Corpus]) -> Path:
    script.prepare(settings(tmp_path, script), corpora)
    return tmp_path


def test_a_killed_run_goes_on_and_ends_with_the_same_bits(prepared: Path, script: ModuleType) -> None:
    torch.set_num_threads(1)
    whole, killed = prepared / "whole", prepared / "killed"
    for out in (whole, killed):
        out.mkdir()
        for name in ("tokenizer.json", "train.npy"):
            (out / name).symlink_to(prepared / name)
    options = dataclasses.asdict(settings(killed, script))
    options = {name: value for name, value in options.items() if name not in ("out", "evaluate_only")}
    done = subprocess.run([sys.executable, "-c", KILLED, SCRIPT, killed, repr(options)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (killed / "resume.safetensors.part").exists()
    model, optimisers = script.build(settings(killed, script), bos=0)
    assert script.resume(settings(killed, script), model, optimisers) == 3

    weights = [load_file(script.train(settings(out, script)) / "model.safetensors") for out in (killed, whole)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert all(tensor.dtype == torch.float16 for tensor in weights[0].values())


def test_the_budget_can_change_until_the_decay_begins(prepared: Path, script: ModuleType) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "export", lambda *_: None)
        script.train(settings(prepared, script))
    late = settings(prepared, script, tokens=2 * STEPS * 32)
    with pytest.raises(ConfigError, match=r"makes 24 steps, but .* stands at step 12 of 12"):
        script.resume(late, *script.build(late, bos=0))
    other = settings(prepared, script, lr=1e-3)
    with pytest.raises(ConfigError, match=r'"lr": 0.004.* not .*"lr": 0.001.*another --out'):
        script.resume(other, *script.build(other, bos=0))
    fresh = settings(prepared, script, tokens=100 * STEPS * 32)
    assert fresh.decay_start == 840
    assert [fresh.rate(step) for step in (0, 99, 500, 840, 1200)] == pytest.approx([0.01, 1, 1, 1, 0])


def test_batches_from_any_step_are_those_of_an_unbroken_run(prepared: Path, script: ModuleType) -> None:
    config = settings(prepared, script)
    stream = np.arange(15 * 7 + 4, dtype=np.uint16) + 1  # 7 contexts: 3 batches an epoch
    unbroken = script.batches(config, stream, 0, 0)
    rows = [next(unbroken) for _ in range(8)]
    for step in range(8):
        assert torch.equal(next(script.batches(config, stream, 0, step)), rows[step])
    epoch = torch.cat(rows[:3])
    assert (epoch[:, 0] == 0).all()
    assert len(set(epoch[:, 1].tolist())) == 6  # no context twice
    assert (epoch[:, 2:] == epoch[:, 1:-1] + 1).all()


def test_too_little_text_for_a_batch(prepared: Path, script: ModuleType) -> None:
    with pytest.raises(CorpusError, match=r"has 20 tokens, less than a batch of 2 contexts of 16"):
        next(script.batches(settings(prepared, script), np.zeros(20, dtype=np.uint16), 0, 0))


def test_the_stream_is_the_text_with_bos_after_each_document(tmp_path: Path, script: ModuleType) -> None:
    tokenizer = train_tokenizer(["one = 1\n", "two = 2\n"], 260)
    size, tokens = script.write_stream(tmp_path / "s", tokenizer, iter(["one = 1\n", "two = 2\n", "never"]), limit=12)
    stream = np.load(tmp_path / "s.npy")
    assert (tmp_path / "s.txt").read_text() == "one = 1\ntwo = 2\n"
    assert (size, tokens) == (16, len(stream))
    assert tokenizer.decode(stream[stream != 0].tolist()) == "one = 1\ntwo = 2\n"
    assert (stream == 0).sum() == 2 and stream[-1] == 0


def test_every_token_counts_once_in_the_held_out_nats(prepared: Path, script: ModuleType) -> None:
    folder = script.train(settings(prepared, script))
    stream = np.load(prepared / "heldout.npy")[:100]
    whole = script.total_nats(folder, stream, length=16, device="cpu")
    parts = [script.total_nats(folder, stream[i : i + 15], length=16, device="cpu") for i in range(0, 100, 15)]
    assert whole == pytest.approx(sum(parts), rel=1e-5)
    assert 0.5 * np.log(300) < whole / 100 < 1.5 * np.log(300)


def test_the_figures_are_on_the_same_bytes(prepared: Path, script: ModuleType) -> None:
    config = settings(prepared, script)
    folder = script.train(config)
    figures = script.figures(config, folder)
    assert figures["bytes"] == (prepared / "heldout.txt").stat().st_size >= 1500
    assert figures["tokens"] == len(np.load(prepared / "heldout.npy"))
    expected = figures["nats a token"] * figures["tokens"] / np.log(2) / figures["bytes"]
    assert figures["bits a byte, the model"] == pytest.approx(expected)
    assert script.sample(folder, "def ", seed=0, tokens=5).startswith("def ")
