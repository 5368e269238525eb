from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
import torch

import msae
from msae.core.errors import CheckpointError, ConfigError, MismatchError
from msae.studies.independent import independent_runs, independent_saes, train_independent
from msae.studies.info import describe


def test_one_baseline_a_width_at_the_l0_its_prefix_measured(nested):
    assert list(nested.baselines) == [6, 24] == list(independent_runs(nested.run))
    for record, (width, baseline) in zip(nested.run.sae.recorded, nested.baselines.items(), strict=True):
        assert baseline.path == nested.run.path / "independent" / str(width)
        assert baseline.sae.prefix_widths == (width,) and baseline.sae.nesting == msae.Unnested()
        assert baseline.sae.activation_fn.k == record.l0
        assert baseline.sae.recorded[0].l0 == pytest.approx(record.l0, rel=0.01)
        assert baseline.train_config == nested.run.train_config
        assert baseline.config["store"] == nested.run.config["store"]


def test_a_baseline_is_the_run_that_train_makes_of_its_settings(nested, tmp_path):
    sae = independent_saes(nested.run)[6]
    alone = msae.train(sae, nested.store, nested.run.train_config, tmp_path / "alone", progress=False)
    assert torch.equal(alone.sae.W_dec, nested.baselines[6].sae.W_dec)


def test_no_two_dictionaries_begin_alike(nested):
    small, large = independent_saes(nested.run).values()
    firsts = [sae.W_dec[:6] for sae in (small, large, nested.run.new_sae())]
    for i, one in enumerate(firsts):
        assert not any(torch.isclose(one, other).all(dim=1).any() for other in firsts[i + 1 :])


def test_again_trains_only_what_is_missing(nested, make, tmp_path):
    shutil.copytree(nested.run.path, tmp_path / "run")
    run = msae.Run.open(tmp_path / "run")
    weights = nested.baselines[24].path / "sae" / "sae_weights.safetensors"
    shutil.rmtree(tmp_path / "run/independent/24/sae")
    assert "width 24 (unfinished)" in describe(run.path)
    before = (tmp_path / "run/independent/6/metrics.jsonl").stat().st_mtime_ns
    train_independent(run, progress=False)
    train_independent(run, progress=False)
    assert (tmp_path / "run/independent/6/metrics.jsonl").stat().st_mtime_ns == before
    again = tmp_path / "run/independent/24/sae/sae_weights.safetensors"
    assert again.read_bytes() == weights.read_bytes()
    assert "width 6 (finished), width 24 (finished)" in describe(run.path)


def test_refusals(nested, make, tmp_path):
    plain = make.run(nested.store, tmp_path / "plain", nesting=msae.Unnested())
    with pytest.raises(ConfigError, match="one level"):
        train_independent(plain)
    relu = make.run(nested.store, tmp_path / "relu", activation_fn=msae.ReLU(l1_coefficient=0.05))
    with pytest.raises(ConfigError, match="no L0 to ask for"):
        train_independent(relu)
    with pytest.raises(MismatchError, match="same tokens"):
        train_independent(nested.run, store=make.store(tmp_path / "other", seed=1).path)
    shutil.copytree(nested.run.path, tmp_path / "run")
    config = json.loads((tmp_path / "run/config.json").read_text())
    config["training"]["lr"] = 1e-4
    (tmp_path / "run/config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="training.lr"):
        train_independent(msae.Run.open(tmp_path / "run"))
    shutil.rmtree(tmp_path / "run/sae")
    with pytest.raises(CheckpointError, match="not finished"):
        train_independent(msae.Run.open(tmp_path / "run"))


def test_topk_rounds_the_l0(nested, make, tmp_path):
    run = make.run(nested.store, tmp_path / "topk", activation_fn=msae.TopK(k=3))
    ks = [sae.activation_fn.k for sae in independent_saes(run).values()]
    assert ks == [max(1, round(record.l0)) for record in run.sae.recorded]


def test_from_the_shell(nested):
    def shell(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "msae", *arguments], capture_output=True, text=True, timeout=300)

    done = shell("train", "--independent", str(nested.run.path))
    assert done.returncode == 0, done.stderr
    assert "width 6: nested L0" in done.stdout and "independent L0" in done.stdout
    refused = shell("train", "--independent", str(nested.run.path), "--k", "3", "--widths", "8")
    assert refused.returncode == 2 and "leave out --widths, --k" in refused.stderr
    nothing = shell("train", "--store", "acts")
    assert nothing.returncode == 2 and "--independent" in nothing.stderr
