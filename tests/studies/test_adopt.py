"""An SAE of another library becomes a run: evaluated, analyzed, told by info, and noticed when its files change."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import msae
from msae.analysis.tables import read_table
from msae.core.errors import CheckpointError, ConfigError, MismatchError
from msae.core.spec import SourceSpec
from msae.sae.formats import read_foreign
from msae.studies.adopt import _same_place, adopt
from msae.studies.analyze_run import analyze_run
from msae.studies.evaluate_run import evaluate_run
from msae.studies.info import describe

WIDTHS = (16, 48)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    rows = torch.randn(3000, 12, generator=torch.Generator().manual_seed(0))
    source = msae.ArraySource(rows)
    return msae.harvest(source, (), n_tokens=2500, path=tmp_path_factory.mktemp("acts") / "rows", progress=False)


@pytest.fixture
def foreign(tmp_path):
    """A JumpReLU SAE in SAELens' layout, without a word on its levels."""
    generator = torch.Generator().manual_seed(1)
    W_dec = torch.nn.functional.normalize(torch.randn(48, 12, generator=generator), dim=1)
    tensors = {"W_enc": W_dec.T.contiguous(), "b_enc": torch.zeros(48), "W_dec": W_dec, "b_dec": torch.zeros(12)}
    folder = tmp_path / "theirs"
    folder.mkdir()
    save_file(tensors | {"threshold": torch.ones(48)}, folder / "sae_weights.safetensors")
    metadata = {"sae_lens_version": "6.54.12", "hook_name": "blocks.3.hook_resid_post", "l0": 7.5}
    config = {"architecture": "jumprelu", "d_in": 12, "d_sae": 48, "dtype": "float32", "metadata": metadata}
    (folder / "cfg.json").write_text(json.dumps(config))
    return folder


def test_it_is_a_run_for_everything_that_takes_one(foreign, store, tmp_path):
    run, table, notes = adopt(foreign, store.path, tmp_path / "run", widths=WIDTHS, progress=False)
    assert run.is_finished and run.prefix_widths == WIDTHS
    assert [row.width for row in table.levels] == list(WIDTHS)
    assert any("claims an L0 of 7.50" in note for note in notes)
    assert torch.equal(run.load_sae().W_dec, msae.load(foreign).W_dec)
    assert run.load_sae().source == store.spec
    measured = evaluate_run(run, progress=False)
    assert measured.levels[0].fvu == pytest.approx(table.levels[0].fvu, rel=0.2)
    analyze_run(run, progress=False, tokens=1000)
    assert read_table(run.folder.table("features")).num_rows == 48
    told = describe(run.path)
    assert "saelens" in told and "named by the user" in told
    with pytest.raises(CheckpointError, match="not trained here"):
        _ = run.train_config


def test_the_weights_are_not_copied_and_a_change_is_noticed(foreign, store, tmp_path):
    run, *_ = adopt(foreign, store.path, tmp_path / "run", progress=False)
    assert [file.name for file in run.folder.sae.iterdir()] == ["cfg.json"]
    weights = foreign / "sae_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(CheckpointError, match=r"sae_weights\.safetensors changed"):
        run.load_sae()
    weights.unlink()
    foreign.rename(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="is not there any more"):
        run.load_sae()


def test_an_sae_of_ours_is_adopted_for_another_store(store, tmp_path):
    sae = msae.SparseAutoencoder(12, 48, msae.TopK(k=4), msae.FixedPrefixes(WIDTHS)).eval()
    msae.save(sae, tmp_path / "ours")
    run, _, _ = adopt(tmp_path / "ours", store.path, tmp_path / "run", progress=False)
    assert run.prefix_widths == WIDTHS and run.adopted["format"] == "msae"


def test_bad_input_leaves_nothing(foreign, store, tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        adopt(foreign, store.path, taken, progress=False)
    with pytest.raises(ConfigError, match="end at d_sae = 48"):
        adopt(foreign, store.path, tmp_path / "run", widths=(4, 8), progress=False)
    other = msae.harvest(
        msae.ArraySource(torch.randn(500, 5)), (), n_tokens=400, path=tmp_path / "five", progress=False
    )
    with pytest.raises(MismatchError, match="d_in = 12"):
        adopt(foreign, other.path, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_another_hook_of_the_same_block_is_named(foreign):
    spec = SourceSpec(kind="transformer_lens", model="", hook_name="blocks.3.mlp.hook_out", d_in=12)
    spec = replace(spec, legacy_hook_name="blocks.3.hook_mlp_out")
    theirs = read_foreign(foreign)
    with pytest.raises(MismatchError, match=r"hook 'blocks\.3\.hook_resid_post' != 'blocks\.3\.hook_mlp_out'"):
        _same_place(theirs, spec, force=False)
    for same in ("blocks.3.hook_out", "blocks.4.hook_in"):
        assert _same_place(theirs, replace(spec, hook_name=same, legacy_hook_name=""), force=False) == []
