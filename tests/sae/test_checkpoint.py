"""Saving and loading: nothing is lost, and what is damaged, foreign or changed is refused."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file, save_file

from msae.core.errors import CheckpointError
from msae.core.rng import torch_stream
from msae.core.spec import SourceSpec
from msae.sae import (
    BatchTopK,
    FixedPrefixes,
    JumpReLU,
    LevelRecord,
    ReLU,
    SampledPrefixes,
    SparseAutoencoder,
    TopK,
    Unnested,
    load,
    save,
)
from msae.sae.self_check import spread_rows

D_IN, WIDTHS = 12, (8, 24, 40)
FNS = [BatchTopK(k=5), TopK(k=5), JumpReLU(l0=5, bandwidth=0.5), ReLU(l1_coefficient=0.1)]
NESTINGS = [Unnested(), FixedPrefixes(WIDTHS, level_weights=(1.0, 2.0, 3.0)), SampledPrefixes(n=2, widths=WIDTHS)]


def rows(n=300):
    return 1.5 * torch.randn(n, D_IN, generator=torch_stream(1, "test rows"))


def new_sae(fn=BatchTopK(k=5), nesting=NESTINGS[1]):  # noqa: B008 (frozen)
    generator = torch_stream(2, "test sae")
    sae = SparseAutoencoder(D_IN, WIDTHS[-1], fn, nesting, seed=5)
    with torch.no_grad():
        for parameter in (sae.W_enc, sae.b_enc, sae.b_dec):
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
        sae.threshold.copy_(0.4 + torch.rand(sae.threshold.shape, generator=generator))
    sae.source = SourceSpec(kind="array", model="m", hook_name="blocks.2.hook_out", d_in=D_IN)
    sae.recorded = tuple(LevelRecord(width=width, l0=width / 10, fvu=0.5) for width in sae.prefix_widths)
    return sae.eval()


@pytest.mark.parametrize("nesting", NESTINGS, ids=lambda nesting: type(nesting).__name__)
@pytest.mark.parametrize("fn", FNS, ids=str)
def test_what_is_saved_is_what_is_loaded(fn, nesting, tmp_path):
    sae = new_sae(fn, nesting)
    again = load(save(sae, tmp_path / "sae", probe=rows()))
    assert (again.activation_fn, again.nesting, again.source) == (fn, nesting, sae.source)
    assert again.recorded == sae.recorded and not again.training
    assert torch.equal(again.encode_dense(rows()), sae.encode_dense(rows()))
    assert torch.equal(again.reconstruct_levels(rows()), sae.reconstruct_levels(rows()))


def assert_same_codes(codes, expected):
    """The same latents fire, with the same values but for the last bits: a narrower product may add up otherwise."""
    assert torch.equal(codes > 0, expected > 0)
    torch.testing.assert_close(codes, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("fn", FNS, ids=str)
@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_level_taken_alone_has_the_codes_it_had_and_can_be_saved(fn, level, tmp_path):
    sae = new_sae(fn)
    alone = load(save(sae.truncate(level), tmp_path / "level", probe=rows()))
    assert alone.d_sae == WIDTHS[level] and alone.prefix_widths == WIDTHS[: level + 1]
    if not isinstance(fn, TopK):
        assert_same_codes(alone.encode_dense(rows()), sae.encode_dense(rows())[:, : WIDTHS[level]])
    if level < 2 and not isinstance(fn, ReLU):
        assert alone.activation_fn.target_l0() == pytest.approx(max(1, round(WIDTHS[level] / 10)), abs=0.5)


def test_a_level_narrower_than_the_target_and_never_measured_can_still_be_taken():
    for fn in (BatchTopK(k=30), JumpReLU(l0=30)):
        sae = new_sae(fn)
        sae.recorded = ()
        assert sae.truncate(0).activation_fn.target_l0() == 8
    with pytest.raises(CheckpointError, match="measured L0"):
        sae = new_sae(TopK(k=5))
        sae.recorded = ()
        sae.truncate(0)


def changed(path, change):
    weights = load_file(path / "sae_weights.safetensors")
    change(weights)
    save_file(weights, path / "sae_weights.safetensors")


def sparse_sae():
    """Most latents of its last level are silent on most rows: what a probe cannot see."""
    sae = new_sae(JumpReLU(l0=5))
    with torch.no_grad():
        sae.threshold[WIDTHS[1] :] = 50.0
    return sae


def half(weights):
    """Other directions for the latents that never fire: the decoder, the encoder and θ's own."""
    weights["W_dec"][WIDTHS[1] :] = weights["W_dec"][WIDTHS[1] :].flip(0)
    weights["W_enc"][:, WIDTHS[1] :] = weights["W_enc"][:, WIDTHS[1] :].flip(1)


def one_latent(weights):
    weights["W_dec"][-1] = -weights["W_dec"][-1]


def one_level(weights):
    weights["W_dec"][WIDTHS[0] : WIDTHS[1]] = weights["W_dec"][WIDTHS[0] : WIDTHS[1]].roll(1, 0)


@pytest.mark.parametrize(
    ("change", "levels"),
    [
        (half, "level 2 of 3"),
        (one_latent, "level 2 of 3"),
        (one_level, "level 1 of 3"),
        (lambda weights: weights["W_dec"][:8].mul_(-1), "level 0 of 3"),
        (lambda weights: weights["b_enc"][-1].add_(1e-6), "level 2 of 3"),
        (lambda weights: weights["threshold"].mul_(1.0001), "levels 0, 1, 2 of 3"),
        (lambda weights: weights["b_dec"][0].add_(1e-6), "levels 0, 1, 2 of 3"),
    ],
)
@pytest.mark.parametrize("probe", [rows(), None], ids=["probe", "no probe"])
def test_weights_that_changed_are_refused_unless_one_insists(change, levels, probe, tmp_path):
    path = save(sparse_sae(), tmp_path / "sae", probe=probe)
    changed(path, change)
    with pytest.raises(CheckpointError, match=f"not hold the weights that were saved: those of {levels} have"):
        load(path)
    assert load(path, check=False).d_sae == 40


def test_half_of_a_dictionary_that_is_silent_on_the_probe_shows_in_the_sums_alone(tmp_path):
    path = save(sparse_sae(), tmp_path / "sae", probe=rows())
    changed(path, half)
    edited(path, lambda config: config["metadata"]["msae"].pop("weights"))
    load(path)  # a folder from before there were sums: the probe rows say nothing of latents that never fire


def test_latents_that_changed_places_show_on_the_probe(tmp_path):
    """L0 and FVU of every level stay as they were; every latent's number now names another one."""

    def reorder(weights):
        order = torch.cat([torch.arange(8).roll(3), torch.arange(8, 24).flip(0), torch.arange(24, 40)])
        weights["W_enc"] = weights["W_enc"][:, order].contiguous()
        for name in ("b_enc", "W_dec", "threshold"):
            weights[name] = weights[name][order].contiguous()

    path = save(new_sae(), tmp_path / "sae", probe=rows())
    changed(path, reorder)
    edited(path, lambda config: config["metadata"]["msae"].pop("weights"))
    with pytest.raises(CheckpointError, match="other latents of level 0 fire"):
        load(path)


def test_weights_converted_to_a_rounder_dtype_are_held_against_the_probe(tmp_path):
    def convert(weights):
        weights |= {name: tensor.half() for name, tensor in weights.items()}

    path = save(new_sae(), tmp_path / "sae", probe=rows())
    changed(path, convert)
    edited(path, lambda config: config.update(dtype="float16"))
    assert load(path).dtype == torch.float16
    changed(path, lambda weights: weights["W_dec"][:8].mul_(-1))
    with pytest.raises(CheckpointError, match="does not behave as when it was saved: at width 8"):
        load(path)


def test_a_probe_is_spread_over_all_rows_that_are_given():
    assert spread_rows(5) == [0, 1, 2, 3, 4]
    assert spread_rows(10, 4) == [0, 2, 5, 7]
    chosen = spread_rows(100_000)
    assert len(chosen) == 1024 and chosen[-1] > 99_000 and max(b - a for a, b in pairwise(chosen)) == 98


def edited(path, change):
    config = json.loads((path / "cfg.json").read_text())
    change(config)
    (path / "cfg.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda config: config.update(dtype="floaty"), "floaty"),
        (lambda config: config.update(d_sae=41), "d_sae = 41"),
        (lambda config: config.pop("d_in"), "d_in"),
        (lambda config: config["metadata"]["msae"].pop("nesting"), "nesting"),
        (lambda config: config["metadata"]["msae"].update(format_version=99), "upgrade"),
        (lambda config: config["metadata"]["msae"]["nesting"].update(widths=[4, 24, 40]), "was saved with"),
        (lambda config: config["metadata"]["msae"]["activation_fn"].update(k=400), "k = 400"),
    ],
)
def test_a_config_that_makes_no_sense_is_named(change, says, tmp_path):
    path = save(new_sae(), tmp_path / "sae", probe=rows())
    edited(path, change)
    with pytest.raises(CheckpointError, match=says):
        load(path)


@pytest.mark.parametrize("name", ["cfg.json", "sae_weights.safetensors", "probe.safetensors"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:60])])
def test_a_missing_or_truncated_file_is_named(name, damage, tmp_path):
    path = save(new_sae(), tmp_path / "sae", probe=rows())
    damage(path / name)
    with pytest.raises(CheckpointError, match=name):
        load(path)


def test_an_sae_that_is_not_ready_is_not_saved(tmp_path):
    fresh = SparseAutoencoder(D_IN, 40, BatchTopK(k=5))
    with pytest.raises(CheckpointError, match="finish training first"):
        save(fresh, tmp_path / "sae")
    broken = new_sae()
    with torch.no_grad():
        broken.W_dec[3, 2] = torch.nan
    with pytest.raises(CheckpointError, match="W_dec"):
        save(broken, tmp_path / "sae")
    assert not (tmp_path / "sae").exists()


def test_a_folder_of_saelens_opens_with_its_levels(tmp_path):
    path = save(new_sae(JumpReLU(l0=5)), tmp_path / "sae")
    edited(path, lambda config: config["metadata"].pop("msae"))
    foreign = load(path)
    assert foreign.prefix_widths == WIDTHS
    assert torch.equal(foreign.encode_dense(rows()), new_sae().encode_dense(rows()))
    assert_same_codes(foreign.truncate(0).encode_dense(rows()), new_sae().encode_dense(rows())[:, :8])
