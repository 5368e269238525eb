"""What every entry of the lists must hold: activation functions × nestings × encoders × kernels.

Each entry is tried at tiny sizes with one partner of every other kind; all pairs that compose are marked slow.
"""

from __future__ import annotations

import itertools
import json

import pytest
import torch

from msae.core.config import from_typed_dict, to_typed_dict
from msae.core.errors import CheckpointError, ConfigError
from msae.sae import (
    ACTIVATION_FNS,
    ENCODERS,
    NESTINGS,
    BatchTopK,
    FixedPrefixes,
    LevelRecord,
    Linear,
    SparseAutoencoder,
    load,
    save,
)
from msae.sae.kernels import KERNELS, ReferenceKernel, kernel_class
from msae.sae.kernels.candidates import CandidateFinder
from msae.sae.kernels.reference import dense_losses
from msae.sae.losses import Objective

D_IN, D_SAE, BATCH = 10, 32, 30
DEAD = torch.arange(D_SAE) % 3 == 0
PARTS = (ACTIVATION_FNS, NESTINGS, ENCODERS)
USUAL = (BatchTopK.__name__, FixedPrefixes.__name__, Linear.__name__)


def one_of_each() -> list[tuple[str, str, str]]:
    """Every entry once, with the usual partners."""
    cases = [
        tuple(name if at == part else usual for at, usual in enumerate(USUAL))
        for part in range(3)
        for name in PARTS[part]
    ]
    return sorted(set(cases))


def every_pair() -> list[tuple[str, str, str]]:
    """All that compose, but for those of `one_of_each`."""
    return [case for case in itertools.product(*PARTS) if case not in one_of_each()]


CASES = [*one_of_each(), *(pytest.param(case, marks=pytest.mark.slow) for case in every_pair())]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case))


def parts(case):
    return [entries[name].example(D_SAE) for entries, name in zip(PARTS, case, strict=True)]


def make(case, dtype=torch.float64, seed=0):
    """An SAE like one in the middle of its training, and a batch."""
    fn, nesting, encoder = parts(case)
    sae = SparseAutoencoder(D_IN, D_SAE, fn, nesting, encoder=encoder, dtype=dtype, seed=seed)
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sae.named_parameters():
            if name != "threshold":
                parameter += 0.1 * torch.randn(parameter.shape, generator=noise, dtype=torch.float64).to(dtype)
        uneven = torch.rand(D_SAE, generator=noise, dtype=torch.float64) if fn.learns_threshold else torch.ones(D_SAE)
        sae.threshold.copy_(0.8 * uneven)
    x = (1.5 * torch.randn(BATCH, D_IN, generator=noise, dtype=torch.float64)).to(dtype)
    return sae, x


def objective_for(sae):
    widths = sae.nesting.train_widths(sae.d_sae, torch.Generator().manual_seed(3))
    weights, aux = sae.nesting.weights(len(widths)), sae.prefix_widths
    return Objective(
        widths=widths,
        weights=weights,
        variance=3.7,
        auxk_alpha=1 / 32,
        auxk_widths=aux,
        auxk_weights=sae.nesting.weights(len(aux)),
        dead=DEAD,
    )


def relative(a, b):
    return ((a.double() - b.double()).norm() / b.double().norm().clamp_min(1e-9)).item()


def twins(case):
    """The same SAE in float64 and in float32, and their batches."""
    double, x = make(case)
    single, _ = make(case, dtype=torch.float32)
    single.load_state_dict({name: tensor.float() for name, tensor in double.state_dict().items()})
    return double, x, single, x.float()


@every_case
def test_all_kernels_agree_with_the_reference(case):
    tried = set()
    for kernel, has_target in itertools.product(KERNELS.values(), (False, True)):
        double, x, single, x32 = twins(case)
        if kernel.needs(single) is not None:
            with pytest.raises(ConfigError, match=f"'{kernel.name}'"):
                kernel_class(kernel.name, single)
            continue
        tried.add(kernel.name)
        target = x.flip(1).roll(1, 0) if has_target else None
        expected = ReferenceKernel().step(double, x, objective_for(double), target)
        result = kernel.make(64).step(single, x32, objective_for(single), target.float() if has_target else None)
        assert bool(result.complete)
        assert torch.equal(result.codes.dense() != 0, expected.codes.dense() != 0), kernel.name
        assert relative(result.codes.dense(), expected.codes.dense()) < 1e-5, kernel.name
        for part in ("levels", "auxk", "penalty", "total"):
            assert relative(getattr(result.losses, part), getattr(expected.losses, part)) < 1e-5, (kernel.name, part)
        assert expected.losses.auxk > 0
        for name, parameter in double.named_parameters():
            if parameter.requires_grad:
                assert relative(single.get_parameter(name).grad, parameter.grad) < 1e-4, (kernel.name, name)
    assert "reference" in tried and kernel_class("auto", single).name in tried


@every_case
def test_a_target_is_what_is_reconstructed(case):
    """With the loss against another target, the losses are those of that target, and no kernel takes another shape."""
    sae, x = make(case, torch.float32)
    target = x.roll(1, 0)
    for kernel in KERNELS.values():
        if kernel.needs(sae) is None:
            own, other = (kernel.make(None).step(sae, x, objective_for(sae), t).losses for t in (x, target))
            assert torch.equal(own.total, kernel.make(None).step(sae, x, objective_for(sae)).losses.total)
            assert not torch.isclose(own.total, other.total, rtol=1e-3)
            with pytest.raises(ConfigError, match="target has shape"):
                kernel.make(None).step(sae, x, objective_for(sae), target[1:])


@every_case
def test_gradients_are_those_of_the_loss(case):
    """Finite differences in float64 of the loss that the reference differentiates; θ's is a straight-through one."""
    sae, x = make(case)
    objective = objective_for(sae)
    names = ["W_enc", "b_enc", "W_dec", "b_dec"]
    # AuxK's residuals are detached, which finite differences can't know.
    objective = Objective(widths=objective.widths, weights=objective.weights, variance=objective.variance)

    def loss(*values):
        shadow, _ = make(case)
        for name, value in zip(names, values, strict=True):
            del shadow._parameters[name]
            setattr(shadow, name, value)
        pre = shadow.pre_activations(x)
        codes = shadow.activation_fn.train_codes(pre, sae.threshold.detach())
        return dense_losses(shadow, x, pre, codes, objective).total

    values = [sae.get_parameter(name).detach().clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(loss, values, eps=1e-7, atol=1e-6, fast_mode=True)
    ReferenceKernel().step(sae, x, objective)
    for name, gradient in zip(names, torch.autograd.grad(loss(*values), values), strict=True):
        assert relative(sae.get_parameter(name).grad, gradient) < 1e-9, name


@every_case
def test_the_search_finds_what_the_plan_s_mask_says(case):
    """In blocks, with ties, while training and once trained; and a row's codes, once trained, are its own."""
    sae, x = make(case)
    if not sae.encoder.one_product:
        pytest.skip("kernels that search refuse it")
    x[1::3] = x[::3]
    with torch.no_grad():
        sae.W_enc[:, 1::4], sae.b_enc[1::4] = sae.W_enc[:, ::4], sae.b_enc[::4]
    pre = sae.pre_activations(x)
    for plan in (sae.activation_fn.train_plan(), sae.activation_fn.eval_plan()):
        for block in (16, 100, 10**6):
            found = CandidateFinder(block).selected(sae, x - sae.b_dec, plan)
            fires = plan.fires(found.pre, found.latent, sae.threshold)
            dense = torch.zeros_like(pre, dtype=torch.bool)
            dense[found.row[fires], found.latent[fires]] = True
            assert torch.equal(dense, plan.mask(pre, sae.threshold))
            assert torch.equal((found.row * D_SAE + found.latent).sort().values, found.row * D_SAE + found.latent)
    alone = torch.cat([sae.eval().encode(row[None]).dense() for row in x])
    assert torch.allclose(sae.encode(x).dense(), alone, atol=1e-12)
    assert (alone >= 0).all() and (alone > 0).any()


@every_case
def test_what_is_saved_is_what_is_loaded(case, tmp_path):
    sae, x = make(case, torch.float32)
    sae.eval()
    again = load(save(sae, tmp_path / "sae", probe=x))
    assert (again.activation_fn, again.nesting, again.encoder) == (sae.activation_fn, sae.nesting, sae.encoder)
    assert torch.equal(again.encode_dense(x), sae.encode_dense(x))
    assert torch.equal(again.reconstruct_levels(x), sae.reconstruct_levels(x))
    config = json.loads((tmp_path / "sae" / "cfg.json").read_text())
    assert config["architecture"] == (sae.activation_fn.saelens or f"msae_{sae.activation_fn.label()}")
    for part, entries in zip((sae.activation_fn, sae.nesting, sae.encoder), PARTS, strict=True):
        assert from_typed_dict(entries, to_typed_dict(part)) == part


@every_case
def test_without_our_metadata_the_folder_gives_the_same_codes_or_is_refused(case, tmp_path):
    """What SAELens would see: its own fields alone."""
    sae, x = make(case, torch.float32)
    with torch.no_grad():
        sae.eval().W_dec.div_(sae.W_dec.norm(dim=1, keepdim=True))
    path = save(sae, tmp_path / "sae")
    config = json.loads((path / "cfg.json").read_text())
    del config["metadata"]["msae"]
    (path / "cfg.json").write_text(json.dumps(config))
    if sae.activation_fn.saelens is None:
        with pytest.raises(CheckpointError, match=sae.activation_fn.label()):
            load(path)
    else:
        assert torch.equal(load(path).encode_dense(x), sae.encode_dense(x))


@every_case
def test_each_level_can_be_cut_off(case, tmp_path):
    sae, x = make(case)
    sae.eval()
    codes = sae.encode(x)
    sae.recorded = tuple(LevelRecord(width=w, l0=codes.below(w).l0(), fvu=0.5) for w in sae.prefix_widths)
    for level, record in enumerate(sae.recorded):
        small = sae.truncate(level)
        assert small.prefix_widths == sae.prefix_widths[: level + 1] and not small.training
        if level == sae.n_levels - 1:
            assert small.activation_fn == sae.activation_fn
        elif small.activation_fn.target_l0() is not None:
            off = abs(small.activation_fn.target_l0() - record.l0)
            assert off < (max(1, record.l0 / 2) if small.activation_fn.whole_l0 else 1e-9)
        if sae.activation_fn.eval_plan().by_latent:
            assert torch.allclose(small.encode_dense(x), codes.below(record.width).dense(), atol=1e-12)
        assert (small.encode_dense(x) > 0).any()
        assert load(save(small, tmp_path / str(level))).activation_fn == small.activation_fn


@pytest.mark.parametrize("name", ACTIVATION_FNS)
def test_an_activation_function_says_what_it_is(name):
    cls = ACTIVATION_FNS[name]
    fn = cls.example(D_SAE)
    fn.validate(D_SAE)
    assert hash(fn) == hash(cls.example(D_SAE)), "a config is frozen"
    if cls.l0_setting is None:
        assert fn.target_l0() is None
        with pytest.raises(ConfigError, match="no L0"):
            fn.with_l0(3)
    else:
        assert type(fn.with_l0(4.0)) is cls and fn.with_l0(4.0).target_l0() == 4.0
        for wrong in (0, D_SAE + 1):
            with pytest.raises(ConfigError):
                cls(**{cls.l0_setting: wrong}).validate(D_SAE)
    for flag, field in cls.settings().items():
        assert field.metadata.get("help"), f"--{flag} has no help"


def test_a_class_that_says_half_of_what_it_is_is_refused_where_it_is_defined():
    class Base(BatchTopK):
        pass

    with pytest.raises(TypeError, match="has_penalty"):
        type("Half", (Base,), {"penalty": lambda self, pre, codes, W_dec, threshold: pre.sum()})
    with pytest.raises(TypeError, match="own_gradients"):
        type("Half", (Base,), {"learns_threshold": True})
