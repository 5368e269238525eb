from __future__ import annotations

import pytest
import torch

from msae.core.errors import TrainingError
from msae.sae import BatchTopK, JumpReLU, SparseAutoencoder
from msae.training import update
from msae.training.update import ConstrainedAdam


def sae_with_gradients(seed=0, fn=None, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    sae = SparseAutoencoder(10, 30, fn or BatchTopK(k=3), dtype=dtype)
    for parameter in sae.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(dtype)
    return sae


def naive(sae, n_steps, lr, clip):
    """torch's own Adam around an explicit projection, clipping and renormalisation."""
    learning = [parameter for parameter in sae.parameters() if parameter.requires_grad]
    adam = torch.optim.Adam(learning, lr=lr, betas=(0.9, 0.999))
    gradients = [parameter.grad.clone() for parameter in learning]
    for _ in range(n_steps):
        for parameter, gradient in zip(learning, gradients, strict=True):
            parameter.grad = gradient.clone()
        with torch.no_grad():
            W = sae.W_dec
            W.grad -= (W.grad * W).sum(1, keepdim=True) * W
        norm = torch.nn.utils.clip_grad_norm_(learning, clip)
        adam.step()
        with torch.no_grad():
            W /= W.norm(dim=1, keepdim=True)
    return norm


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])
@pytest.mark.parametrize("clip", [1.0, 1e6], ids=["clipped", "not clipped"])
def test_equals_torch_adam_between_projection_and_renormalisation(compiled, clip, monkeypatch):
    if not compiled:
        monkeypatch.setattr(update, "has_numba", lambda: False)
    mine, other = sae_with_gradients(), sae_with_gradients()
    gradients = {name: parameter.grad.clone() for name, parameter in mine.named_parameters()}
    optimiser = ConstrainedAdam(mine, 0.9, 0.999)
    for _ in range(3):
        for name, parameter in mine.named_parameters():
            parameter.grad = gradients[name].clone()
        norm = optimiser.step(1e-2, clip)
    expected = naive(other, 3, 1e-2, clip)
    assert norm.item() == pytest.approx(expected.item(), rel=1e-5)
    for (name, parameter), reference in zip(mine.named_parameters(), other.parameters(), strict=True):
        assert torch.allclose(parameter, reference, atol=2e-6, equal_nan=True), name


def test_thresholds_stay_at_or_above_zero():
    sae = sae_with_gradients(fn=JumpReLU(l0=3))
    sae.threshold.grad = torch.ones(30)
    ConstrainedAdam(sae, 0.9, 0.999).step(0.5, 1.0)
    assert sae.threshold.min() == 0


def test_state_goes_round():
    sae, other = sae_with_gradients(), sae_with_gradients()
    optimiser = ConstrainedAdam(sae, 0.9, 0.999)
    optimiser.step(1e-2, 1.0)
    restored = ConstrainedAdam(other, 0.9, 0.999)
    other.load_state_dict(sae.state_dict())
    restored.load_state({name: moment.clone() for name, moment in optimiser.state().items()}, 1)
    for seed_sae, one in ((sae, optimiser), (other, restored)):
        for parameter in seed_sae.parameters():
            parameter.grad = torch.full(parameter.shape, 0.1)
        one.step(1e-2, 1.0)
    assert torch.equal(sae.W_enc, other.W_enc) and torch.equal(sae.W_dec, other.W_dec)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])
@pytest.mark.parametrize(("d_in", "d_sae"), [(1, 7), (7, 1), (1, 1)])
def test_matrices_of_one_row_or_column_keep_their_orientation(d_in, d_sae, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(update, "has_numba", lambda: False)
    sae = SparseAutoencoder(d_in, d_sae, BatchTopK(k=1))
    before = sae.W_enc.detach().clone()
    gradient = torch.rand(before.shape) + 0.5
    for parameter in sae.parameters():
        parameter.grad = torch.zeros(parameter.shape)
    sae.W_enc.grad = gradient
    ConstrainedAdam(sae, 0.9, 0.999).step(0.1, 1e9)
    assert torch.allclose(sae.W_enc, before - 0.1 * gradient.sign(), atol=1e-5)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_changes_no_parameter(bad, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(update, "has_numba", lambda: False)
    sae = sae_with_gradients()
    sae.b_enc.grad[3] = bad
    before = {name: parameter.detach().clone() for name, parameter in sae.named_parameters()}
    with pytest.raises(TrainingError, match="norm"):
        ConstrainedAdam(sae, 0.9, 0.999).step(1e-2, 1.0)
    for name, parameter in sae.named_parameters():
        assert torch.equal(parameter.nan_to_num(7.0), before[name].nan_to_num(7.0)), name
