"""Every kernel against a naive implementation written level by level, with nothing shared but the parameters."""

from __future__ import annotations

import pytest
import torch

from msae.sae import BatchTopK, FixedPrefixes, JumpReLU, ReLU, SampledPrefixes, SparseAutoencoder, TopK, Unnested
from msae.sae.kernels.candidates import CandidateFinder
from msae.sae.kernels.fused import FusedKernel
from msae.sae.kernels.reference import ReferenceKernel, dense_losses
from msae.sae.kernels.sparse import SparseKernel
from msae.sae.losses import Objective

D_IN, D_SAE, BATCH = 12, 48, 40
ACTIVATION_FNS = [
    BatchTopK(k=5),
    BatchTopK(k=46.5),
    TopK(k=4),
    TopK(k=48),
    JumpReLU(l0=6, bandwidth=0.8),
    ReLU(l1_coefficient=0.02),
]
NESTINGS = {
    "unnested": (Unnested(), (48,)),
    "fixed": (FixedPrefixes((6, 20, 48), level_weights=(1.0, 2.0, 3.0)), (6, 20, 48)),
    "sampled": (SampledPrefixes(n=4, widths=(8, 24, 48)), (3, 8, 31, 48)),
}
DEAD = torch.arange(D_SAE) % 3 == 0


def make(fn, nesting, dtype=torch.float64, seed=0):
    sae = SparseAutoencoder(D_IN, D_SAE, fn, nesting, dtype=dtype, seed=seed)
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in sae.parameters():
            if parameter is not sae.threshold:
                parameter += 0.1 * torch.randn(parameter.shape, generator=noise, dtype=dtype)
        sae.threshold.fill_(0.9 if isinstance(fn, JumpReLU) else 0.0)
    x = torch.randn(BATCH, D_IN, generator=noise, dtype=dtype) * 1.5
    return sae, x


def objective_for(sae, widths, auxk):
    aux = sae.prefix_widths
    return Objective(
        widths=widths,
        weights=sae.nesting.weights(len(widths)),
        variance=3.7,
        auxk_alpha=1 / 32 if auxk else 0.0,
        auxk_widths=aux,
        auxk_weights=sae.nesting.weights(len(aux)),
        dead=DEAD if auxk else None,
    )


def naive_loss(sae, x, objective, chosen):
    """The loss of methods.md with plain loops over levels; `chosen` is the mask of latents that fire."""
    fn, pre = sae.activation_fn, (x - sae.b_dec) @ sae.W_enc + sae.b_enc
    codes = pre * chosen
    total, levels = 0.0, []
    for width, weight in zip(objective.widths, objective.weights, strict=True):
        x_hat = sae.b_dec + sum(codes[:, j : j + 1] * sae.W_dec[j] for j in range(width))
        levels.append(((x - x_hat) ** 2).sum() / BATCH / objective.variance)
        total = total + weight * levels[-1]
    if objective.has_auxk:
        for g, width in enumerate(objective.auxk_widths):
            first = 0 if g == 0 else objective.auxk_widths[g - 1]
            dead = [j for j in range(first, width) if objective.dead[j]]
            residual = (x - sae.b_dec - codes[:, :width] @ sae.W_dec[:width]).detach()
            values, index = pre[:, dead].relu().topk(min(D_IN // 2, len(dead)), dim=1)
            guess = torch.einsum("bk,bkd->bd", values, sae.W_dec[dead][index])
            spread = ((residual - residual.mean(0)) ** 2).sum()
            total = total + objective.auxk_alpha * objective.auxk_weights[g] * ((residual - guess) ** 2).sum() / spread
    if isinstance(fn, ReLU):
        total = total + fn.l1_coefficient * (codes * sae.W_dec.norm(dim=1)).sum() / BATCH
    if isinstance(fn, JumpReLU):
        total = total + fn.coefficient * (chosen.sum() / BATCH / fn.l0 - 1) ** 2
    return total, torch.stack(levels)


def naive_choice(sae, x):
    fn = sae.activation_fn
    pre = ((x - sae.b_dec) @ sae.W_enc + sae.b_enc).detach()
    if isinstance(fn, BatchTopK):
        flat = sorted((-pre[b, j].item(), b, j) for b in range(BATCH) for j in range(D_SAE))
        kept = [(b, j) for value, b, j in flat[: round(fn.k * BATCH)] if value < 0]
    elif isinstance(fn, TopK):
        kept = [(b, j) for b in range(BATCH) for j in sorted(range(D_SAE), key=lambda j: -pre[b, j].item())[: fn.k]]
        kept = [(b, j) for b, j in kept if pre[b, j] > 0]
    else:
        floor = sae.threshold if isinstance(fn, JumpReLU) else torch.zeros(D_SAE)
        kept = [(b, j) for b in range(BATCH) for j in range(D_SAE) if pre[b, j] > max(0.0, floor[j].item())]
    mask = torch.zeros(BATCH, D_SAE, dtype=pre.dtype)
    for b, j in kept:
        mask[b, j] = 1
    return mask


def relative(a, b):
    return ((a - b).norm() / b.norm().clamp_min(1e-12)).item()


CASES = [(fn, name, auxk) for fn in ACTIVATION_FNS for name in NESTINGS for auxk in (False, True)]


@pytest.mark.parametrize("kernel", [ReferenceKernel, SparseKernel], ids=lambda k: k.name)
@pytest.mark.parametrize(("fn", "nesting", "auxk"), CASES, ids=str)
def test_equals_a_naive_loop_over_levels(kernel, fn, nesting, auxk):
    nesting, widths = NESTINGS[nesting]
    sae, x = make(fn, nesting)
    objective = objective_for(sae, widths, auxk)
    mask = naive_choice(sae, x)
    loss, levels = naive_loss(sae, x, objective, mask)
    names = ["W_enc", "b_enc", "W_dec", "b_dec"]
    expected = torch.autograd.grad(loss, [sae.get_parameter(name) for name in names])

    result = kernel().step(sae, x, objective)

    assert torch.equal(result.codes.dense() != 0, mask.bool())
    assert relative(result.losses.levels, levels) < 1e-9
    assert relative(result.losses.total, loss) < 1e-9
    for name, gradient in zip(names, expected, strict=True):
        assert relative(sae.get_parameter(name).grad, gradient) < 1e-9, name


@pytest.mark.parametrize("nesting", NESTINGS)
def test_jumprelu_threshold_gradient_agrees_between_kernels(nesting):
    nesting, widths = NESTINGS[nesting]
    sae, x = make(JumpReLU(l0=6, bandwidth=0.8), nesting)
    objective = objective_for(sae, widths, auxk=True)
    ReferenceKernel().step(sae, x, objective)
    dense = sae.threshold.grad.clone()
    SparseKernel().step(sae, x, objective)
    assert dense.norm() > 1e-3
    assert relative(sae.threshold.grad, dense) < 1e-9


@pytest.mark.parametrize("kernel", [ReferenceKernel, SparseKernel, FusedKernel], ids=lambda k: k.name)
@pytest.mark.parametrize("nesting", NESTINGS)
def test_auxk_of_rows_that_are_all_equal_is_nothing(kernel, nesting):
    """Their residual's spread is rounding: divided by, it makes a loss of 10¹² and more."""
    nesting, widths = NESTINGS[nesting]
    gradients = {}
    for auxk in (False, True):
        sae, x = make(TopK(k=4), nesting, dtype=torch.float32)
        result = kernel().step(sae, (100 * x[:1]).expand(BATCH, -1).contiguous(), objective_for(sae, widths, auxk))
        assert result.losses.auxk == 0 and result.losses.total.isfinite()
        gradients[auxk] = {name: p.grad.clone() for name, p in sae.named_parameters() if p.grad is not None}
    for name, gradient in gradients[True].items():
        assert relative(gradient, gradients[False][name]) < 1e-5, name


@pytest.mark.parametrize("fn", ACTIVATION_FNS, ids=str)
def test_float32_agrees_with_float64(fn):
    nesting, widths = NESTINGS["fixed"]
    double, x = make(fn, nesting)
    single, _ = make(fn, nesting, dtype=torch.float32)
    single.load_state_dict({name: tensor.float() for name, tensor in double.state_dict().items()})
    ReferenceKernel().step(double, x, objective_for(double, widths, auxk=True))
    result = SparseKernel().step(single, x.float(), objective_for(single, widths, auxk=True))
    assert result.losses.total.isfinite()
    for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
        assert relative(single.get_parameter(name).grad.double(), double.get_parameter(name).grad) < 1e-5, name


@pytest.mark.parametrize("auxk", [False, True], ids=["", "auxk"])
@pytest.mark.parametrize("nesting", NESTINGS)
@pytest.mark.parametrize("fn", ACTIVATION_FNS[:4], ids=str)
def test_fused_equals_the_reference_in_float64(fn, nesting, auxk):
    nesting, widths = NESTINGS[nesting]
    double, x = make(fn, nesting)
    single, _ = make(fn, nesting, dtype=torch.float32)
    single.load_state_dict({name: tensor.float() for name, tensor in double.state_dict().items()})
    expected = ReferenceKernel().step(double, x, objective_for(double, widths, auxk))
    result = FusedKernel().step(single, x.float(), objective_for(single, widths, auxk))
    assert torch.equal(result.codes.dense() != 0, expected.codes.dense() != 0)
    assert relative(result.losses.levels.double(), expected.losses.levels) < 1e-5
    assert relative(result.losses.total.double(), expected.losses.total) < 1e-5
    for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
        assert relative(single.get_parameter(name).grad.double(), double.get_parameter(name).grad) < 1e-5, name


@pytest.mark.parametrize("fn", [BatchTopK(k=5), TopK(k=4)], ids=str)
def test_gradcheck_of_the_reference(fn):
    """Finite differences of the loss that the reference differentiates, the choice of latents held fixed."""
    sae, x = make(fn, NESTINGS["fixed"][0])
    objective = objective_for(sae, (6, 20, 48), auxk=False)
    mask = naive_choice(sae, x)
    names = ["W_enc", "b_enc", "W_dec", "b_dec"]

    def loss(*values):
        shadow = SparseAutoencoder(D_IN, D_SAE, fn, sae.nesting, dtype=torch.float64)
        for name, value in zip(names, values, strict=True):
            del shadow._parameters[name]
            setattr(shadow, name, value)
        pre = shadow.pre_activations(x)
        return dense_losses(shadow, x, pre, pre * mask, objective).total

    values = [sae.get_parameter(name).detach().clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(loss, values, eps=1e-6, atol=1e-7, fast_mode=True)


@pytest.mark.parametrize("fn", [BatchTopK(k=5), TopK(k=4)], ids=str)
@pytest.mark.parametrize("guess", [None, 0.0, 0.5, 1e6], ids=["first batch", "all positive", "low", "far too high"])
def test_a_wrong_floor_changes_the_work_and_not_the_result(fn, guess):
    sae, x = make(fn, Unnested())
    finder = CandidateFinder(block=64)
    finder._floor = guess
    found = finder.selected(sae, x - sae.b_dec)
    expected = naive_choice(sae, x).nonzero()
    assert torch.equal(torch.stack([found.row, found.latent], dim=1), expected)


@pytest.mark.parametrize("fn", [BatchTopK(k=3), TopK(k=3)], ids=str)
def test_ties_go_to_the_first(fn):
    """Pairs of equal latents: both kernels keep the lower index, in every row."""
    sae, x = make(fn, Unnested())
    with torch.no_grad():
        sae.W_enc[:, 1::2] = sae.W_enc[:, ::2]
        sae.b_enc[1::2] = sae.b_enc[::2]
    x[1::2] = x[::2]
    expected = naive_choice(sae, x).bool()
    for kernel in (ReferenceKernel(), SparseKernel()):
        assert torch.equal(kernel.step(sae, x, objective_for(sae, (48,), auxk=False)).codes.dense() != 0, expected)


def test_more_budget_than_positive_pre_activations():
    sae, x = make(BatchTopK(k=40), Unnested())
    with torch.no_grad():
        sae.b_enc -= 2.0
    mask = naive_choice(sae, x)
    assert 0 < mask.sum() < 40 * BATCH
    for kernel in (ReferenceKernel(), SparseKernel()):
        assert torch.equal(kernel.step(sae, x, objective_for(sae, (48,), auxk=True)).codes.dense() != 0, mask.bool())


def test_auxk_reaches_the_encoder_of_dead_latents():
    sae, x = make(BatchTopK(k=2), NESTINGS["fixed"][0])
    with torch.no_grad():
        sae.b_enc[DEAD] -= 1.0
    silent = DEAD & (naive_choice(sae, x).sum(0) == 0)
    assert silent.sum() > 5
    for kernel in (ReferenceKernel(), SparseKernel()):
        kernel.step(sae, x, objective_for(sae, (6, 20, 48), auxk=False))
        assert sae.W_enc.grad[:, silent].abs().max() == 0
        kernel.step(sae, x, objective_for(sae, (6, 20, 48), auxk=True))
        assert (sae.W_enc.grad[:, silent].norm(dim=0) > 0).float().mean() > 0.8


@pytest.mark.parametrize("fn", [BatchTopK(k=5), TopK(k=4)], ids=str)
@pytest.mark.parametrize("kernel", [SparseKernel, FusedKernel])
def test_infinite_activations_end_in_a_loss_that_is_not_finite(kernel, fn):
    sae, x = make(fn, NESTINGS["fixed"][0], dtype=torch.float32)
    stepping = kernel()
    objective = objective_for(sae, (6, 20, 48), auxk=False)
    with torch.no_grad():
        sae.W_enc[0] = sae.W_enc[0].abs()
    bad = x.clone()
    bad[:, 0] = torch.inf
    for batch in (bad, x, bad):
        finite = stepping.step(sae, batch, objective).losses.total.isfinite()
        assert finite == batch.isfinite().all()


@pytest.mark.parametrize("kernel", [ReferenceKernel, SparseKernel, FusedKernel])
def test_auxk_on_one_row_whose_residual_cannot_vary_leaves_gradients_finite(kernel):
    sae, x = make(BatchTopK(k=5), NESTINGS["fixed"][0], dtype=torch.float32)
    losses = kernel().step(sae, x[:1], objective_for(sae, (6, 20, 48), auxk=True)).losses
    assert losses.auxk == 0
    for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
        assert sae.get_parameter(name).grad.isfinite().all(), name
