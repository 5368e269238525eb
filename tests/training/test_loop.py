from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

import msae
from msae.core.errors import CheckpointError, ConfigError, MismatchError, MsaeError
from msae.training.run import Run

SHORT = msae.TrainConfig(n_tokens=2048, batch_size=256)
CONFIG = {"n_tokens": 30_000, "batch_size": 256, "checkpoint_every": 1024, "log_every": 5, "lr": 2e-3}
SCRIPT = """
import sys, time, torch
torch.set_num_threads(1)
import msae
from msae.training import Trainer
pause, store_path, run_path, config = float(sys.argv[1]), sys.argv[2], sys.argv[3], eval(sys.argv[4])
step = Trainer.step
def slow(self, x):
    time.sleep(pause)
    return step(self, x)
Trainer.step = slow
sae = msae.SparseAutoencoder(24, 64, msae.BatchTopK(k=3), msae.SampledPrefixes(n=3, widths=(16, 64)))
msae.train(sae, msae.ActivationStore.open(store_path), msae.TrainConfig(**config), run_path)
"""


def new_sae(**settings):
    shape = {"d_in": 24, "d_sae": 64, "activation_fn": msae.BatchTopK(k=3), "nesting": msae.FixedPrefixes((16, 64))}
    return msae.SparseAutoencoder(**{**shape, **settings})


def start(store, path, pause):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(pause), str(store.path), str(path), repr(CONFIG)])


def test_a_run_killed_again_and_again_ends_in_the_same_bits(store, tmp_path):
    assert start(store, tmp_path / "whole", 0).wait(timeout=120) == 0
    draw = random.Random(0)
    for _ in range(3):
        process = start(store, tmp_path / "killed", 0.02)
        state = tmp_path / "killed" / "resume" / "state.safetensors"
        deadline = time.monotonic() + 60
        seen = state.stat().st_mtime_ns if state.exists() else 0
        while time.monotonic() < deadline and (not state.exists() or state.stat().st_mtime_ns == seen):
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.3))
        assert process.poll() is None, "the run ended before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert start(store, tmp_path / "killed", 0).wait(timeout=120) == 0
    whole, killed = (load_file(tmp_path / name / "sae" / "sae_weights.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    lines = [Run.open(tmp_path / name).metrics() for name in ("whole", "killed")]
    untimed = [[{k: v for k, v in line.items() if k != "tokens_per_second"} for line in run] for run in lines]
    assert untimed[0] == untimed[1]


def test_a_run_folder_holds_what_repeats_it(store, tmp_path):
    run = msae.train(new_sae(), store, msae.TrainConfig(**CONFIG), tmp_path / "run")
    again = Run.open(tmp_path / "run")
    assert again.is_finished and again.train_config == msae.TrainConfig(**CONFIG)
    assert again.sae.prefix_widths == (16, 64) and again.sae.source == store.spec
    assert again.metrics()[-1]["step"] == 30_000 // 256
    repeated = msae.train(again.new_sae(), store, again.train_config, tmp_path / "repeated")
    assert torch.equal(repeated.sae.W_dec, run.sae.W_dec)
    assert not (tmp_path / "run" / "resume").exists()


def test_several_saes_share_one_stream_and_come_out_as_if_alone(store, tmp_path):
    config = msae.TrainConfig(**CONFIG)
    both = {"nested": new_sae(), "plain": new_sae(nesting=msae.Unnested())}
    runs = msae.train_many(both, store, config, tmp_path / "many")
    alone = msae.train(new_sae(nesting=msae.Unnested()), store, config, tmp_path / "alone")
    assert torch.equal(runs["plain"].sae.W_dec, alone.sae.W_dec)
    assert not torch.equal(runs["nested"].sae.W_dec, alone.sae.W_dec)


def test_a_finished_run_is_not_overwritten(store, tmp_path):
    msae.train(new_sae(), store, msae.TrainConfig(**CONFIG), tmp_path / "run")
    with pytest.raises(ConfigError, match="finished run"):
        msae.train(new_sae(), store, msae.TrainConfig(**CONFIG), tmp_path / "run")


def test_an_unfinished_run_with_other_settings_is_not_resumed(store, tmp_path, monkeypatch):
    monkeypatch.setattr("msae.training.loop._Session.finish", lambda self: None)
    msae.train(new_sae(), store, msae.TrainConfig(**CONFIG), tmp_path / "run")
    with pytest.raises(ConfigError, match="training.lr"):
        msae.train(new_sae(), store, msae.TrainConfig(**{**CONFIG, "lr": 1e-3}), tmp_path / "run")


def test_a_folder_with_something_else_in_it_is_left_alone(store, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not a run"):
        msae.train(new_sae(), store, msae.TrainConfig(**CONFIG), tmp_path)
    assert [child.name for child in tmp_path.iterdir()] == ["notes.txt"]


def test_widths_and_sources_that_do_not_match_are_refused(store, tmp_path):
    with pytest.raises(ConfigError, match="d_in = 25"):
        msae.train(new_sae(d_in=25), store, msae.TrainConfig(**CONFIG), tmp_path / "a")
    foreign = new_sae()
    foreign.source = dataclasses.replace(store.spec, hook_name="blocks.9.hook_out")
    with pytest.raises(MismatchError, match="blocks.9.hook_out"):
        msae.train(foreign, store, msae.TrainConfig(**CONFIG), tmp_path / "b")
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_a_damaged_state_is_named(store, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("msae.training.loop._Session.finish", lambda self: None)
        msae.train(new_sae(), store, msae.TrainConfig(**CONFIG), tmp_path / "run")
    state = tmp_path / "run" / "resume" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="state.safetensors"):
        msae.train(new_sae(), store, msae.TrainConfig(**CONFIG), tmp_path / "run")


def test_resuming_with_another_number_of_threads_says_so(store, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("msae.training.loop._Session.finish", lambda self: None)
        msae.train(new_sae(), store, SHORT, tmp_path / "run")
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    with pytest.warns(
        UserWarning, match=f"with {threads} threads, torch has {threads + 1} now.*OMP_NUM_THREADS={threads}"
    ):
        assert msae.train(new_sae(), store, SHORT, tmp_path / "run").is_finished


def test_a_failure_keeps_the_last_good_checkpoint(store, tmp_path, monkeypatch):
    from msae.core.errors import TrainingError
    from msae.training import Trainer

    step = Trainer.step

    def spoiled(self, x):
        return step(self, x * float("nan") if self.steps_done == 60 else x)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", spoiled)
        with pytest.raises(TrainingError, match="step 61"):
            msae.train(new_sae(), store, msae.TrainConfig(**CONFIG), tmp_path / "run")
    assert not Run.open(tmp_path / "run").is_finished
    run = msae.train(new_sae(), store, msae.TrainConfig(**CONFIG), tmp_path / "run")
    whole = msae.train(new_sae(), store, msae.TrainConfig(**CONFIG), tmp_path / "whole")
    assert torch.equal(run.sae.W_enc, whole.sae.W_enc)


def test_wandb_offline_files_hold_what_was_logged(store, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    config = msae.TrainConfig(**{**CONFIG, "n_tokens": 5_120})
    run = msae.train(new_sae(), store, config, tmp_path / "run", wandb_project="levels")
    (record,) = (tmp_path / "run").glob("wandb/offline-run-*/run-*.wandb")
    deadline = time.monotonic() + 30
    while b"tokens_per_second" not in record.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.1)  # wandb's own process writes the file a moment after the run has finished
    logged = record.read_bytes()
    assert b"fvu/level 1" in logged and b"tokens_per_second" in logged
    last = run.metrics()[-1]
    assert json.dumps(last["loss"]).encode() in logged


def test_metrics_cut_in_the_middle_of_a_line_are_mended(tmp_path):
    from msae.training.loggers import JsonlLogger

    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 5}\n{"step": 10}\n{"step": 15}\n{"st')
    logger = JsonlLogger(path, resumed_at=10)
    logger.log({"step": 15})
    logger.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [5, 10, 15]


def test_several_saes_go_on_after_some_have_finished(store, tmp_path, monkeypatch):
    from msae.training.loop import _Session

    config = msae.TrainConfig(**{**CONFIG, "n_tokens": 5_120})
    finish = _Session.finish

    def killed(self):
        if self.run.path.name == "plain":
            raise KeyboardInterrupt
        finish(self)

    def both():
        return {"nested": new_sae(), "plain": new_sae(nesting=msae.Unnested())}

    with monkeypatch.context() as patch:
        patch.setattr(_Session, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            msae.train_many(both(), store, config, tmp_path / "many")
    metrics = (tmp_path / "many/nested/metrics.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="training.lr"):
        msae.train_many(both(), store, dataclasses.replace(config, lr=1e-3), tmp_path / "many")
    runs = msae.train_many(both(), store, config, tmp_path / "many")
    assert [run.is_finished for run in runs.values()] == [True, True]
    assert (tmp_path / "many/nested/metrics.jsonl").read_bytes() == metrics


def test_only_a_run_is_replaced_and_opened_as_one(store, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"architectures": ["GPT2LMHeadModel"]}')
    with pytest.raises(CheckpointError, match="is not a run"):
        Run.open(model)
    with pytest.raises(MsaeError, match="move it away|is not a run"):
        msae.train(new_sae(), store, SHORT, model, replace=True)
    assert [entry.name for entry in model.iterdir()] == ["config.json"]
    msae.train(new_sae(), store, msae.TrainConfig(**{**CONFIG, "n_tokens": 5_120}), tmp_path / "run")
    with (tmp_path / "run/metrics.jsonl").open("a") as file:
        file.write('{"step": 9')
    assert Run.open(tmp_path / "run").metrics()[-1]["step"] == 20
    replaced = msae.train(new_sae(), store, SHORT, tmp_path / "run", replace=True)
    assert replaced.metrics()[-1]["step"] == 8 and replaced.is_finished
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model", "run"]


def test_each_loading_of_a_run_gives_a_sae_of_its_own(store, tmp_path):
    run = msae.train(new_sae(), store, SHORT, tmp_path / "run", progress=False)
    first, second = run.load_sae(), run.sae
    assert first is not second and torch.equal(first.W_dec, second.W_dec)
    with torch.no_grad():
        first.double().W_dec.zero_()
    assert second.dtype == torch.float32 and second.W_dec.abs().sum() > 0
    assert torch.equal(run.sae.W_dec, second.W_dec)


def test_levels_are_counted_without_weights(store, tmp_path):
    run = msae.train(new_sae(), store, SHORT, tmp_path / "run", progress=False)
    (run.folder.sae / "sae_weights.safetensors").write_bytes(b"gone")
    assert msae.Run.open(run.path).prefix_widths == (16, 64)
