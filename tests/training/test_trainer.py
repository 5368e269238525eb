from __future__ import annotations

import math

import pytest
import torch

from msae.core.errors import ConfigError, MsaeError, TrainingError
from msae.sae import BatchTopK, FixedPrefixes, JumpReLU, ReLU, SampledPrefixes, SparseAutoencoder, TopK, Unnested
from msae.training import Scaling, TrainConfig, Trainer, default_lr
from msae.training.schedules import warmup_stable_decay

D_IN = 16


def rows(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(40, D_IN, generator=torch.Generator().manual_seed(99))
    codes = (torch.rand(n, 40, generator=generator) < 0.08) * torch.rand(n, 40, generator=generator)
    return 3 * codes @ directions + 0.5


def trained(fn, nesting=None, steps=150, d_sae=64, more=0, **settings):
    sae = SparseAutoencoder(D_IN, d_sae, fn, nesting or FixedPrefixes((16, d_sae)))
    config = TrainConfig(n_tokens=(steps + more) * 256, batch_size=256, **{"lr": 3e-3, **settings})
    trainer = Trainer(sae, config, rows(10_000, seed=1))
    metrics = [trainer.step(rows(256, seed=100 + step)) for step in range(steps)]
    return trainer, metrics


@pytest.mark.parametrize(
    ("fn", "nesting"),
    [
        (BatchTopK(k=4), FixedPrefixes((16, 64))),
        (BatchTopK(k=4), SampledPrefixes(n=3, widths=(16, 64))),
        (BatchTopK(k=4), Unnested()),
        (TopK(k=4), FixedPrefixes((16, 64), level_weights="balanced")),
        (JumpReLU(l0=4), FixedPrefixes((16, 64))),
        (ReLU(l1_coefficient=0.01), FixedPrefixes((16, 64))),
    ],
    ids=str,
)
def test_training_lowers_the_loss_and_keeps_decoder_rows_unit(fn, nesting):
    trainer, metrics = trained(fn, nesting)
    first, last = metrics[0].losses.levels[-1], metrics[-1].losses.levels[-1]
    assert last < 0.5 * first
    norms = trainer.sae.W_dec.norm(dim=1)
    assert torch.allclose(norms, torch.ones_like(norms), atol=1e-5)


def test_same_seed_same_weights_for_both_kernels():
    weights = {}
    for kernel in ("reference", "sparse"):
        weights[kernel] = trained(BatchTopK(k=4), steps=60, kernel=kernel)[0].sae.W_dec.detach()
    assert torch.allclose(weights["reference"], weights["sparse"], atol=1e-5)
    assert torch.equal(weights["sparse"], trained(BatchTopK(k=4), steps=60, kernel="sparse")[0].sae.W_dec.detach())


def test_threshold_gives_k_on_the_holdout_and_nearly_k_elsewhere():
    trainer, _ = trained(BatchTopK(k=4), steps=200)
    holdout, elsewhere = rows(20_000, seed=7), rows(20_000, seed=8)
    sae = trainer.finish(holdout)
    assert abs(sae.encode(holdout).l0() - 4) <= 1 / len(holdout) + 1e-9
    assert abs(sae.encode(elsewhere).l0() - 4) < 0.02 * 4
    assert [record.width for record in sae.recorded] == [16, 64]
    assert sae.recorded[1].l0 == pytest.approx(4, rel=1e-4)


def test_without_a_holdout_rows_are_kept_back_and_never_trained_on():
    sae = SparseAutoencoder(D_IN, 64, BatchTopK(k=4))
    trainer = Trainer(sae, TrainConfig(n_tokens=64_000, batch_size=640), reservoir_rows=100)
    trained_on = []
    inner = trainer._kernel.step
    trainer._kernel.step = lambda sae, x, objective: (
        trained_on.append(x / trainer.scaling.scale) or inner(sae, x, objective)
    )
    for step in range(8):
        trainer.step(rows(640, seed=step))
    assert len(trainer._reservoir) == 100
    assert [len(x) for x in trained_on] == [620, 620, 620, 620, 620, 640, 640, 640]
    distance = torch.cdist(trainer._reservoir, torch.cat(trained_on))
    assert (distance.min(dim=1).values > 1e-3).float().mean() > 0.95
    assert trainer.finish().encode(trainer._reservoir).l0() == pytest.approx(4, rel=0.01)


def test_folding_the_scale_changes_no_reconstruction():
    trainer, _ = trained(BatchTopK(k=4))
    sae, scale = trainer.sae, trainer.scaling.scale
    x = rows(500, seed=5)
    with torch.no_grad():
        sae.eval()
        before = sae.reconstruct_levels(x * scale) / scale
        codes = sae.encode(x * scale)
        sae.fold_scale(scale)
        assert torch.allclose(sae.reconstruct_levels(x), before, atol=1e-5)
        assert torch.allclose(sae.encode(x).dense(), codes.dense() / scale, atol=1e-5)


def test_scaling_makes_the_mean_square_norm_d_in():
    sample = rows(5_000)
    scaling = Scaling.from_rows(sample)
    assert (sample * scaling.scale).square().sum(1).mean().item() == pytest.approx(D_IN, rel=1e-5)
    assert scaling.variance == pytest.approx(sample.var(0, correction=0).sum().item(), rel=1e-5)


def test_jumprelu_starts_at_and_is_held_near_its_target():
    _, metrics = trained(JumpReLU(l0=4, coefficient=1.0), steps=300)
    assert metrics[0].l0 == pytest.approx(4, rel=0.3)
    assert metrics[-1].l0 == pytest.approx(4, rel=0.3)


def test_auxk_revives_dead_latents_in_every_step_or_in_some():
    def revived(alpha, every=1):
        sae = SparseAutoencoder(D_IN, 64, BatchTopK(k=1), FixedPrefixes((16, 64)))
        with torch.no_grad():
            sae.b_enc[::2] -= 1.5
        auxk = {"auxk_alpha": alpha, "auxk_every": every}
        config = TrainConfig(n_tokens=150 * 256, batch_size=256, lr=1e-2, dead_after_tokens=1280, **auxk)
        trainer = Trainer(sae, config, rows(5_000))
        for step in range(150):
            trainer.step(rows(256, seed=step))
        return (~trainer.silence.dead()[::2]).float().mean().item()

    without = revived(0.0)
    assert revived(1 / 32) > without + 0.15
    assert revived(1 / 32, every=3) > without + 0.15


def test_auxk_weighs_as_much_in_some_steps_as_in_all():
    def steps(every):
        sae = SparseAutoencoder(D_IN, 64, BatchTopK(k=1), FixedPrefixes((16, 64)))
        with torch.no_grad():
            sae.b_enc[::2] -= 1.5
        config = TrainConfig(n_tokens=12 * 256, batch_size=256, lr=1e-9, dead_after_tokens=256, auxk_every=every)
        trainer = Trainer(sae, config, rows(5_000))
        return [trainer.step(rows(256, seed=step)) for step in range(12)]

    def added(step):
        return (step.losses.total - step.losses.levels.mean()).item()

    always, some = steps(1), steps(3)
    assert [step.step for step in some if step.losses.auxk > 0] == [3, 6, 9, 12]
    assert added(some[-1]) == pytest.approx(3 * added(always[-1]), rel=1e-3)
    assert added(some[-2]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("d_sae", "batch", "n_steps", "lr"),
    [
        (4096, 2048, 1000, 5e-3),
        (4096, 2048, 16_000, 2.5e-3),
        (512, 2048, 1000, 1e-2),
        (32768, 128, 1000, 1.25e-3),
        (16, 4096, 10, 2e-2),
    ],
)
def test_the_default_rate_falls_with_width_and_steps_and_rises_with_the_batch(d_sae, batch, n_steps, lr):
    assert default_lr(d_sae, batch, n_steps) == pytest.approx(lr)
    config = TrainConfig(n_tokens=n_steps * batch, batch_size=batch)
    assert Trainer(SparseAutoencoder(4, d_sae, BatchTopK(k=2)), config).peak_lr == pytest.approx(lr)


def test_schedule_is_warmup_stable_decay():
    factors = [warmup_stable_decay(step, 100, 0.1, 0.2) for step in range(100)]
    assert factors[0] == pytest.approx(0.1) and factors[9] == 1.0
    assert all(factor == 1.0 for factor in factors[9:81])
    assert factors[-1] == pytest.approx(1 / 20)
    assert warmup_stable_decay(0, 10, 0.0, 0.0) == 1.0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(0, D_IN), "empty"),
        (torch.zeros(8, D_IN + 1), f"d_in = {D_IN}"),
    ],
    ids=["empty", "wrong width"],
)
def test_a_bad_batch_is_refused(x, message):
    trainer = Trainer(SparseAutoencoder(D_IN, 32), TrainConfig(n_tokens=1024, batch_size=256), rows(100))
    with pytest.raises(ConfigError, match=message):
        trainer.step(x)


@pytest.mark.parametrize("row", [3, 100], ids=["kept back", "trained on"])
def test_a_value_that_is_not_finite_stops_training_with_everything_as_it_was(row):
    trainer, _ = trained(BatchTopK(k=4), steps=5, more=1)
    before = trainer.sae.W_dec.detach().clone()
    bad = rows(256)
    bad[row, 2] = math.nan
    with pytest.raises(TrainingError, match="step 6"):
        trainer.step(bad)
    assert torch.equal(trainer.sae.W_dec, before)
    assert torch.isfinite(trainer._reservoir).all()


def test_constant_activations_are_refused():
    with pytest.raises(TrainingError, match="do not vary"):
        Trainer(SparseAutoencoder(D_IN, 32), TrainConfig(n_tokens=1024, batch_size=256), torch.ones(100, D_IN))


def test_a_dead_level_is_named():
    trainer, _ = trained(BatchTopK(k=4), steps=3)
    trainer.require_live_levels()
    trainer.silence.tokens_silent[16:] = 10**9
    with pytest.raises(TrainingError, match="level 1"):
        trainer.require_live_levels()


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"n_tokens": 10, "batch_size": 100}, "n_tokens"),
        ({"lr": -1.0}, "lr"),
        ({"warmup_fraction": 0.6, "decay_fraction": 0.6}, "warmup_fraction"),
        ({"kernel": "magic"}, "kernel"),
        ({"auxk_residual": "some"}, "auxk_residual"),
        ({"auxk_every": 0}, "auxk_every"),
    ],
    ids=str,
)
def test_config_names_the_field_at_fault(settings, field):
    with pytest.raises(Exception, match=field):
        TrainConfig(**{"n_tokens": 100_000, **settings})


def test_finish_twice_and_before_the_first_step_are_refused():
    fresh = Trainer(SparseAutoencoder(D_IN, 32), TrainConfig(n_tokens=1024, batch_size=256))
    with pytest.raises(TrainingError, match="before the first step"):
        fresh.finish()
    trainer, _ = trained(BatchTopK(k=4), steps=3)
    trainer.finish(rows(1000))
    with pytest.raises(TrainingError, match="finished"):
        trainer.finish(rows(1000))


def test_a_finish_that_fails_can_be_tried_again_on_other_rows():
    trainer, _ = trained(BatchTopK(k=4), steps=20, more=1)
    before = {name: parameter.detach().clone() for name, parameter in trainer.sae.named_parameters()}
    for unfit in (rows(0), torch.zeros(50, D_IN + 1), rows(1).expand(50, D_IN) * 0 - 1e3):
        with pytest.raises(MsaeError):
            trainer.finish(unfit)
        assert all(torch.equal(value, before[name]) for name, value in trainer.sae.named_parameters())
    trainer.step(rows(256))
    assert trainer.finish(rows(1000)).recorded


def test_one_auxk_residual_goes_with_weights_for_every_level():
    nesting = FixedPrefixes((16, 64), level_weights=(1.0, 3.0))
    _, metrics = trained(BatchTopK(k=1), nesting, steps=30, auxk_residual="full", dead_after_tokens=256)
    assert metrics[-1].losses.auxk > 0


@pytest.mark.parametrize("fn", [BatchTopK(k=4), TopK(k=4), JumpReLU(l0=4)], ids=str)
def test_steps_after_a_restored_state_are_the_same_to_the_bit(fn):
    def new_trainer():
        sae = SparseAutoencoder(256, 512, fn, SampledPrefixes(n=3, widths=(64, 512)))
        return Trainer(sae, TrainConfig(n_tokens=30 * 128, batch_size=128, lr=3e-3), batch(0))

    def batch(step):
        return torch.randn(128, 256, generator=torch.Generator().manual_seed(step)) ** 3

    whole, resumed = new_trainer(), new_trainer()
    for step in range(12):
        whole.step(batch(step))
    tensors, values = whole.state()
    resumed.load_state({name: tensor.clone() for name, tensor in tensors.items()}, values)
    for step in range(12, 30):
        for trainer in (whole, resumed):
            trainer.step(batch(step))
    for name, parameter in whole.sae.named_parameters():
        assert torch.equal(parameter, resumed.sae.get_parameter(name)), name


def test_more_codes_asked_for_than_are_positive_keeps_them_all_and_says_so():
    sae = SparseAutoencoder(D_IN, 32, BatchTopK(k=30))
    trainer = Trainer(sae, TrainConfig(n_tokens=2048, batch_size=256, lr=1e-4), rows(1000))
    for step in range(8):
        trainer.step(rows(256, seed=step))
    with pytest.warns(UserWarning, match="fewer than the L0 of 30"):
        finished = trainer.finish(rows(2000))
    assert finished.threshold[0] == 0
    assert 0 < finished.recorded[-1].l0 < 30
