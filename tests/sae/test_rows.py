"""Rows of activations as people have them: any dtype, torch or numpy, converted or refused in one line."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch

import msae
from msae.core.errors import ConfigError
from msae.core.numerics import as_rows
from msae.sae import BatchTopK, FixedPrefixes, SparseAutoencoder, TopK
from msae.training import Trainer


def sae(dtype=torch.float32):
    made = SparseAutoencoder(6, 16, TopK(k=3), FixedPrefixes((4, 16)), dtype=dtype)
    return made.eval()


X = torch.randn(10, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
KINDS = {
    "float64": X,
    "float32": X.float(),
    "float16": X.half(),
    "bfloat16": X.bfloat16(),
    "numpy float64": X.numpy(),
    "numpy float32": X.float().numpy(),
    "numpy of another order": np.asfortranarray(X.numpy()),
    "numpy read only": np.broadcast_to(X.numpy()[:1], (10, 6)),
    "whole numbers": (10 * X).long(),
    "numpy of the other byte order": X.numpy().astype(">f8"),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_public_call_takes_rows_of_every_dtype(kind, dtype):
    model, x = sae(dtype), KINDS[kind]
    same = torch.from_numpy(np.array(x, dtype=np.float64)) if isinstance(x, np.ndarray) else x
    same = same.to(dtype)
    assert torch.equal(model.pre_activations(x), model.pre_activations(same))
    codes, expected = model.encode(x), model.encode(same)
    assert torch.equal(codes.latent, expected.latent) and torch.equal(codes.value, expected.value)
    for call in (model.reconstruct, model.reconstruct_levels, model, model.encode_dense):
        assert torch.equal(call(x), call(same)) and call(x).dtype == dtype


@pytest.mark.parametrize("kind", KINDS)
def test_the_trainer_takes_them_too(kind):
    x = KINDS[kind]
    config = msae.TrainConfig(n_tokens=10, batch_size=10, lr=1e-3)
    sample, holdout = np.asarray(X), np.asarray(X)
    trainer = Trainer(SparseAutoencoder(6, 16, BatchTopK(k=2)), config, sample)
    metrics = trainer.step(x)
    assert math.isfinite(metrics.losses.total) and metrics.tokens == trainer.tokens_done == 10
    assert trainer.finish(holdout).recorded[-1].fvu >= 0


def evaluated(model, rows):
    return msae.evaluate_rows(model, rows, progress=False).levels


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "numpy read only"])
def test_figures_codes_and_probes_take_them(kind, tmp_path):
    x, model = KINDS[kind], sae()
    same = torch.from_numpy(np.array(x, dtype=np.float64)) if isinstance(x, np.ndarray) else x
    for level, (given, wanted) in enumerate(zip(*(evaluated(model, rows) for rows in (x, same.float())), strict=True)):
        assert (given.fvu, given.l0) == (pytest.approx(wanted.fvu), wanted.l0)
        assert msae.level_report(model, x)[level].fvu == pytest.approx(wanted.fvu)
    assert torch.equal(msae.ArrayRows(x).rows(2, 5).double(), same[2:5].double())
    assert msae.PcaPrefix.fit(x, (2, 6)).transform(x).shape == (10, 6)
    assert msae.SaeCodes.of(model, x).l0 == msae.SaeCodes.of(model, same).l0
    assert msae.load(msae.save(model, tmp_path / "sae", probe=x)).d_in == 6
    labels = ["a", "b"] * 5
    assert msae.LabelledRows.of(x, labels).rows.shape == (10, 6)
    head = msae.train_head(x, msae.HeadConfig(widths=(2, 4), n_steps=2, batch_size=5), labels=labels)
    assert head.logits(x).shape == (10, 2)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X.to(torch.complex64), "complex64: expected real numbers"),
        (X.numpy().astype(np.complex128), "complex128: expected real numbers"),
        (np.array([["a"]]), "<U1: expected an array of numbers"),
        (np.array([[None]]), "object: expected an array of numbers"),
        (X[0], r"shape \(6,\): expected \(batch, d_in = 6\)"),
        (X[:, :5].numpy(), r"shape \(10, 5\): expected \(batch, d_in = 6\)"),
    ],
    ids=str,
)
def test_what_is_no_array_of_rows_is_refused_in_one_line(x, message):
    for call in (sae().encode, sae().reconstruct, lambda given: as_rows(given, 6)):
        with pytest.raises(ConfigError, match=message):
            call(x)
    config = msae.TrainConfig(n_tokens=10, batch_size=10)
    with pytest.raises(ConfigError, match=message):
        Trainer(SparseAutoencoder(6, 16), config).step(x)
    with pytest.raises(ConfigError, match=message):
        Trainer(SparseAutoencoder(6, 16), config, x)


@pytest.mark.parametrize("x", [[[1.0, 2.0]], None, "rows"], ids=str)
def test_what_is_no_array_at_all_is_named(x):
    """By the function itself: in tests, types of public calls are checked before it."""
    with pytest.raises(ConfigError, match=f"x is a {type(x).__name__}: expected a torch tensor or a numpy array"):
        inspect.unwrap(as_rows)(x, 6)


def test_tokens_done_counts_the_rows_that_were_given():
    config = msae.TrainConfig(n_tokens=100, batch_size=10, lr=1e-3)
    trainer = Trainer(SparseAutoencoder(6, 16, BatchTopK(k=2)), config, X)
    assert [trainer.step(X[:n]).tokens for n in (10, 3, 7)] == [10, 13, 20]
    tensors, values = trainer.state()
    other = Trainer(SparseAutoencoder(6, 16, BatchTopK(k=2)), config, X)
    other.load_state(tensors, values)
    assert other.tokens_done == trainer.tokens_done == 20
