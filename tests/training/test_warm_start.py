"""Continuing from a trained SAE: a step that moves nothing changes nothing, whatever the parts and the data's scale."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch

import msae
from msae.core.errors import CheckpointError, ConfigError, TrainingError
from msae.sae import JumpReLU, TopK, warm_start
from msae.training import Trainer
from msae.training.level_watch import LevelWatch

CONFIG = msae.TrainConfig(n_tokens=20_000, batch_size=256, lr=2e-3)
STILL = msae.TrainConfig(n_tokens=256, batch_size=256, lr=1e-12)


def new_sae(fn, seed=0):
    return msae.SparseAutoencoder(24, 64, fn, msae.FixedPrefixes((16, 64)), seed=seed)


@pytest.fixture(scope="module", params=[msae.BatchTopK(k=3), TopK(k=3), JumpReLU(l0=3)], ids=str)
def run(request, store, tmp_path_factory):
    path = tmp_path_factory.mktemp("first") / "run"
    return msae.train(new_sae(request.param), store, CONFIG, path, progress=False)


def held_out(store):
    return store.holdout.rows(0, store.holdout.n_rows).float()


def test_a_step_that_moves_nothing_changes_no_figure_and_no_code(run, store, tmp_path):
    sae = run.load_sae()
    again = msae.train(warm_start(sae), store, STILL, tmp_path / "again", progress=False).load_sae()
    for before, after in zip(sae.recorded, again.recorded, strict=True):
        assert after.fvu == pytest.approx(before.fvu, rel=2e-3) and after.l0 == pytest.approx(before.l0, rel=2e-3)
    for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
        assert torch.allclose(again.get_parameter(name), sae.get_parameter(name), rtol=1e-4, atol=1e-6), name
    x = held_out(store)[:500]
    codes, others = sae.encode(x), again.encode(x)
    assert abs(len(codes) - len(others)) <= 0.01 * len(codes)
    assert torch.allclose(again.reconstruct(x), sae.reconstruct(x), atol=1e-3) or len(codes) != len(others)


def test_another_activation_function_and_rows_of_another_scale(run, store):
    sae = run.load_sae()
    x = held_out(store)
    other = warm_start(sae, activation_fn=TopK(k=4), nesting=msae.Unnested())
    assert other.activation_fn == TopK(k=4) and other.n_levels == 1
    trainer = Trainer(other, STILL, x, reservoir_rows=0)
    loss = trainer.step(x[:256]).losses.levels[-1].item()
    dense = sae.pre_activations(x[:256])
    mask = TopK(k=4).eval_mask(dense, sae.threshold)
    error = (x[:256] - sae.b_dec - torch.where(mask, dense, 0.0) @ sae.W_dec).square().sum(1).mean()
    assert loss == pytest.approx((error / trainer.scaling.variance).item(), rel=1e-4)


def test_training_further_goes_on_where_it_stood(run, store, tmp_path):
    further = msae.train(warm_start(run.load_sae()), store, CONFIG, tmp_path / "further", progress=False)
    assert further.metrics()[0]["fvu"][-1] < 0.7 * run.metrics()[0]["fvu"][-1]
    assert further.load_sae().recorded[-1].fvu < 1.02 * run.load_sae().recorded[-1].fvu


def test_a_stopped_continuation_ends_in_the_same_bits_and_knows_its_start(run, store, tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, n_tokens=2560, checkpoint_every=1024)

    def continued(path):
        return msae.train(warm_start(msae.load(run.path)), store, config, tmp_path / path, progress=False)

    whole, step = continued("whole"), Trainer.step
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def stopping(trainer, x):
            if trainer.steps_done == 7:
                raise KeyboardInterrupt
            return step(trainer, x)

        patch.setattr(Trainer, "step", stopping)
        continued("stopped")
    stopped = continued("stopped")
    for name, parameter in whole.load_sae().named_parameters():
        assert torch.equal(parameter, stopped.load_sae().get_parameter(name)), name
    start = stopped.new_sae()
    assert torch.equal(start.W_dec, run.load_sae().W_dec) and start.trained
    assert stopped.config["sae"]["from"]["path"] == str(run.folder.sae)


def test_another_start_is_not_resumed_and_a_changed_one_is_named(run, store, tmp_path):
    sae = run.load_sae()
    path = tmp_path / "own"
    msae.save(sae, path)
    out = msae.train(warm_start(msae.load(path)), store, STILL, tmp_path / "run", progress=False)
    with torch.no_grad():
        sae.b_dec.add_(0.01)
    msae.save(sae, path)
    with pytest.raises(CheckpointError, match="it was changed"):
        out.new_sae()
    with pytest.raises(ConfigError, match=r"never trained"):
        warm_start(new_sae(TopK(k=3)))


def test_decoder_rows_that_training_would_rescale_are_refused(run, store):
    sae = run.load_sae()
    with torch.no_grad():
        sae.W_dec[3] *= 2
    with pytest.raises(ConfigError, match="1 of 64 decoder rows do not have unit norm"):
        Trainer(warm_start(sae), STILL, held_out(store))


def test_from_on_the_command_line(store, tmp_path):
    first = msae.train(new_sae(msae.BatchTopK(k=3)), store, CONFIG, tmp_path / "first", progress=False)

    def command(*flags):
        line = [sys.executable, "-m", "msae", "train", "--store", store.path, "--from", first.path]
        line += ["--tokens", "2048", "--batch-size", "256", *flags]
        return subprocess.run([str(part) for part in line], capture_output=True, text=True)

    done = command("--out", tmp_path / "second")
    assert done.returncode == 0, done.stderr
    second = msae.Run.open(tmp_path / "second").load_sae()
    assert second.activation_fn == msae.BatchTopK(k=3) and second.prefix_widths == (16, 64)
    assert second.recorded[-1].fvu < 1.1 * first.load_sae().recorded[-1].fvu
    done = command("--out", tmp_path / "third", "--activation", "topk", "--k", "4", "--widths", "8", "64")
    assert done.returncode == 0, done.stderr
    third = msae.load(tmp_path / "third")
    assert third.activation_fn == TopK(k=4) and third.prefix_widths == (8, 64)
    done = command("--out", first.path, "--replace")
    assert done.returncode == 2 and "holds what --from names" in done.stderr and first.is_finished


def test_a_level_that_is_mostly_dead_is_named_once(store):
    trainer = Trainer(new_sae(msae.ReLU(l1_coefficient=0.2)), CONFIG, held_out(store))
    watch = LevelWatch("relu")
    watch.look(trainer)
    trainer.silence.tokens_silent[20:] = 10**9
    with pytest.warns(UserWarning, match=r"'relu', step 0: 92% .* level 1 adds .* l1_coefficient below 0.2"):
        watch.look(trainer)
    watch.look(trainer)


def test_an_sae_that_fails_does_not_stop_those_trained_with_it(store, tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, n_tokens=2560)
    saes = {"good": new_sae(msae.BatchTopK(k=3)), "bad": new_sae(msae.BatchTopK(k=3))}
    bad, step = saes["bad"], Trainer.step

    def failing(trainer, x):
        if trainer.sae is bad and trainer.steps_done == 4:
            raise TrainingError("the loss of step 5 is nan")
        return step(trainer, x)

    monkeypatch.setattr(Trainer, "step", failing)
    with pytest.raises(TrainingError, match=r"1 of 2 SAEs failed, .*'bad': the loss of step 5 is nan"):
        msae.train_many(saes, store, config, tmp_path / "many", progress=False)
    assert msae.Run.open(tmp_path / "many/good").is_finished
    assert not msae.Run(tmp_path / "many/bad").is_finished
