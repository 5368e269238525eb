"""The absorption study, from training to its table and figure, at a tiny size; and it goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments.lib.results import read_results
from experiments.studies import absorption, absorption_cell
from msae.core.rng import torch_stream

PARTS = ("whole", "unlabelled", "labelled")


def test_it_trains_measures_and_is_not_done_twice(tmp_path, capsys):
    study = absorption.Study(
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
    absorption.main(study)
    said = capsys.readouterr().out
    assert "L0 4, 1 seeds" in said and "SAEBench full" in said and "torch" in said
    results = read_results(tmp_path / "absorption.json")
    of = {(figure.case["SAE"], figure.name): figure.value for figure in results.figures}
    assert {sae for sae, _ in of} == {"nested", "TopK"} and results.seeds == (0,)
    for sae in ("nested", "TopK"):
        assert of[sae, "L0"] == pytest.approx(4, rel=0.25)
        assert 0 < of[sae, "FVU"] < 1 and 0 < of[sae, "F1 of a probe on 1 latent"] < 1
        assert 0 <= of[sae, "Python labels: SAEBench full"] <= 1
        assert results.figure("absorption without labels: mean rate", SAE=sae).chance >= 0
    across = "absorption without labels: from level to level"
    assert of["nested", across] >= 0 and ("TopK", across) not in of
    assert (tmp_path / "absorption.html").stat().st_size > 100_000
    lines = {part: (tmp_path / f"{part}.jsonl").read_text() for part in PARTS}
    assert all(len(text.splitlines()) == len(study.kinds) for text in lines.values())
    # A cell that has its line is not measured again, one whose line was cut off is.
    (tmp_path / "whole.jsonl").write_text(lines["whole"][:-10])
    absorption.main(study)
    assert capsys.readouterr().out.splitlines()[:-1] == said.splitlines()[:-1]
    assert {part: (tmp_path / f"{part}.jsonl").read_text() for part in PARTS} == lines


def test_a_nested_sae_without_its_levels_is_the_same_sae():
    sae = absorption.new_sae("fixed", 4, 0, 16, absorption.Study(out=Path(), d_sae=64)).eval()
    with torch.no_grad():
        sae.threshold.fill_(0.5)
    flat = absorption_cell.as_one_level(sae)
    x = torch.randn(32, 16, generator=torch_stream(0, "test/flat"))
    assert flat.prefix_widths == (64,) and sae.prefix_widths == (2, 6, 14, 30, 64)
    assert torch.equal(flat.encode_dense(x), sae.encode_dense(x)) and torch.equal(flat(x), sae(x))
