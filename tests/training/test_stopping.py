"""Ctrl-C and SIGTERM end training with a checkpoint; going on from it gives the bits of a run never stopped."""

from __future__ import annotations

import os
import signal

import pytest
import torch

import msae
from msae.core.stopping import TerminatedError, stop_held_back, terminable
from msae.training import Run, Trainer

CONFIG = msae.TrainConfig(n_tokens=40 * 256, batch_size=256, checkpoint_every=15 * 256, log_every=4, lr=2e-3)


def new_sae():
    return msae.SparseAutoencoder(24, 64, msae.BatchTopK(k=3), msae.FixedPrefixes((16, 64)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kernel", ["sparse", "fused", "reference"])
def test_a_stopped_run_goes_on_to_the_bits_of_one_never_stopped(store, tmp_path, monkeypatch, number, kernel):
    config = msae.TrainConfig(**{**vars(CONFIG), "kernel": kernel})
    whole = msae.train(new_sae(), store, config, tmp_path / "whole", progress=False)
    step = Trainer.step

    def stopping(self, x):
        if self.steps_done in (6, 21):
            os.kill(os.getpid(), number)
        return step(self, x)

    monkeypatch.setattr(Trainer, "step", stopping)
    for stopped_at in (7, 22):
        expected = KeyboardInterrupt if number == signal.SIGINT else TerminatedError
        with pytest.raises(expected, match=f"at step {stopped_at} of 40, which is kept"):
            msae.train(new_sae(), store, config, tmp_path / "run", progress=False)
        assert not Run(tmp_path / "run").is_finished
    run = msae.train(new_sae(), store, config, tmp_path / "run", progress=False)
    for name, parameter in whole.sae.named_parameters():
        assert torch.equal(parameter, run.sae.get_parameter(name)), name
    assert [row["step"] for row in run.metrics()] == [row["step"] for row in whole.metrics()]


def test_the_second_stop_does_not_wait():
    with pytest.raises(KeyboardInterrupt), stop_held_back() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested is KeyboardInterrupt
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("it should have ended before")


def test_handlers_are_as_before_afterwards():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(TerminatedError), terminable(), stop_held_back() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        raise stop.requested
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    with pytest.raises(TerminatedError), terminable():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
