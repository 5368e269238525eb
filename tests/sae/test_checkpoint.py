"""Saving and loading: nothing is lost, and what is damaged, foreign or changed is refused."""

from __future__ import annotations

import json

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


def test_weights_that_changed_are_refused_unless_one_insists(tmp_path):
    path = save(new_sae(), tmp_path / "sae", probe=rows())
    weights = load_file(path / "sae_weights.safetensors")
    weights["W_dec"][:8] *= -1
    save_file(weights, path / "sae_weights.safetensors")
    with pytest.raises(CheckpointError, match="does not behave as when it was saved: at width 8"):
        load(path)
    assert load(path, check=False).d_sae == 40


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
        (lambda config: config["metadata"]["msae"]["nesting"].update(widths=[4, 24, 40]), "probe"),
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
