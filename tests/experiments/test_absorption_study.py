"""The absorption study, from training to its table and figure, at a tiny size; and it goes on where it was stopped."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
PARTS = ("whole", "unlabelled", "labelled")


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(EXPERIMENTS))
    spec = importlib.util.spec_from_file_location("absorption_study", EXPERIMENTS / "absorption_study.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["absorption_study"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(EXPERIMENTS))
    return module


def test_it_trains_measures_and_is_not_done_twice(script, tmp_path, capsys):
    study = script.Study(
        out=tmp_path,
        layer=1,
        d_sae=96,
        kinds=("fixed", "topk"),
        ks=(4,),
        seeds=(0,),
        harvest_tokens=4_000,
        train_tokens=5_120,
        batch_size=256,
        excerpt=800,
        test_tokens=4_000,
        unlabelled_tokens=2_000,
        ce_holdout=600,
        ce_tokens=400,
    )
    script.main(study)
    said = capsys.readouterr().out
    assert "L0 4, 1 seeds" in said and "SAEBench full" in said and "torch" in said
    results = json.loads((tmp_path / "absorption_study.json").read_text())
    of = {(row["kind"], row["figure"]): row["mean"] for row in results["figures"]}
    assert {kind for kind, _ in of} == {*study.kinds}
    for kind in study.kinds:
        assert of[kind, "whole.l0"] == pytest.approx(4, rel=0.25)
        assert 0 < of[kind, "whole.fvu"] < 1 and 0 < of[kind, "labelled.f1.1"] < 1
        assert 0 <= of[kind, "labelled.python.saebench_full"] <= 1
    assert of["fixed", "unlabelled.across.rate"] >= 0 and ("topk", "unlabelled.across.rate") not in of
    assert (tmp_path / "absorption_study.html").stat().st_size > 100_000
    lines = {part: (tmp_path / f"{part}.jsonl").read_text() for part in PARTS}
    assert all(len(text.splitlines()) == len(study.kinds) for text in lines.values())
    # A cell that has its line is not measured again, one whose line was cut off is.
    (tmp_path / "whole.jsonl").write_text(lines["whole"][:-10])
    script.main(study)
    assert capsys.readouterr().out.splitlines()[:-1] == said.splitlines()[:-1]
    assert {part: (tmp_path / f"{part}.jsonl").read_text() for part in PARTS} == lines


def test_a_nested_sae_without_its_levels_is_the_same_sae(script):
    import torch

    from msae.core.rng import torch_stream

    sae = script.new_sae("fixed", 4, 0, 16, script.Study(out=Path(), d_sae=64)).eval()
    with torch.no_grad():
        sae.threshold.fill_(0.5)
    flat = script.absorption_cell.as_one_level(sae)
    x = torch.randn(32, 16, generator=torch_stream(0, "test/flat"))
    assert flat.prefix_widths == (64,) and sae.prefix_widths == (2, 6, 14, 30, 64)
    assert torch.equal(flat.encode_dense(x), sae.encode_dense(x)) and torch.equal(flat(x), sae(x))
