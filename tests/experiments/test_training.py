"""The study of training settings runs from nothing to its tables, and goes on where it was stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import msae
from experiments.lib.results import read_results
from experiments.studies import training
from msae.core.rng import torch_stream


@pytest.fixture
def rows(tmp_path) -> Path:
    generator = torch_stream(0, "test/training study")
    directions = torch.nn.functional.normalize(torch.randn(48, 16, generator=generator), dim=1)
    active = torch.rand(1536, 48, generator=generator) < 0.05
    x = (active * (1 + torch.rand(1536, 48, generator=generator))) @ directions
    save_file({"x": x[:1280].contiguous(), "heldout": x[1280:].contiguous()}, tmp_path / "known.safetensors")
    return tmp_path / "known.safetensors"


def study_of(out: Path, rows: Path, **changes):
    settings = {"sizes": (64,), "batches": (64,), "tokens": 1280, "lengths": (640,), "sources": (), "threads": 1}
    return training.Study(out=out, rows=rows, rows_k=2, **settings | changes)


def test_every_cell_is_trained_once_and_kept(rows, tmp_path, capsys):
    out = tmp_path / "out"
    training.main(study_of(out, rows, around=False, auxk=False))
    first = (out / "cells.jsonl").read_text()
    said = capsys.readouterr().out
    assert "the default rate loses" in said and "known" in said
    cells = [json.loads(line) for line in first.splitlines()]
    assert len({json.dumps(line["cell"], sort_keys=True) for line in cells}) == len(cells)
    assert all(0 < line["score"] < 1.2 and 0 <= line["dead"] <= 1 for line in cells if line["score"] is not None)
    results = read_results(out / "training.json")
    scores = [figure for figure in results.figures if figure.name == "mean held-out FVU of three levels"]
    assert len(scores) == len(cells) and {figure.case["steps"] for figure in scores} == {10, 20}
    assert {figure.value for figure in scores} == {line["score"] for line in cells}
    losses = [f.value for f in results.figures if f.name == "loss of the FVU at the default rate, interpolated"]
    mean = results.figure("mean loss of the FVU against the best of the grid", rule="default")
    assert mean.n == len(losses) == 2 and mean.value == pytest.approx(sum(losses) / 2)
    # A kill left half a line: only that cell is trained again.
    lines = first.splitlines(keepends=True)
    (out / "cells.jsonl").write_text("".join(lines[:-1]) + lines[-1][:20])
    training.main(study_of(out, rows, around=False, auxk=False))
    again = [json.loads(line) for line in (out / "cells.jsonl").read_text().splitlines()]
    untimed = [[{k: v for k, v in line.items() if k != "cpu_seconds"} for line in run] for run in (cells, again)]
    assert untimed[0] == untimed[1]


def test_batches_of_every_size_walk_the_same_order():
    x = torch.arange(64.0)[:, None]
    small, large = training.shuffled(x, 8), training.shuffled(x, 16)
    for _ in range(8):
        pair = torch.cat([next(small), next(small)])
        assert torch.equal(pair, next(large))


def test_shapes_of_decay_start_at_one_and_end_at_zero():
    for shape in training.SHAPES.values():
        assert shape(1.0) == pytest.approx(1) and shape(0.0) == pytest.approx(0)
    sae = msae.SparseAutoencoder(8, 16, msae.BatchTopK(k=2))
    config = msae.TrainConfig(n_tokens=320, batch_size=32, lr=1.0, warmup_fraction=0.2, decay_fraction=0.5)
    trainer = training.ShapedTrainer(sae, config, torch.randn(64, 8, generator=torch_stream(0, "test/shape")))
    trainer.shape = training.SHAPES["cosine"]
    rates = []
    for _ in range(config.n_steps):
        rates.append(trainer.lr)
        trainer.steps_done += 1
    assert rates[:6] == [0.5, 1, 1, 1, 1, 1]
    assert rates[6:] == pytest.approx([0.9045085, 0.6545085, 0.3454915, 0.0954915])


def test_a_cell_is_trained_with_the_defaults():
    cell = training.Cell(source="demo", d_sae=64, batch=64, tokens=1280, lr=1e-3)
    config = msae.TrainConfig(n_tokens=1280, batch_size=64)
    for name in ("auxk_alpha", "auxk_every", "auxk_residual", "beta1", "beta2", "grad_clip"):
        assert getattr(cell, name) == getattr(config, name), name
    assert (cell.warmup, cell.decay) == (config.warmup_fraction, config.decay_fraction)
    assert round(cell.dead_after * cell.tokens) == pytest.approx(config.silent_tokens_until_dead, abs=1)


def test_auxk_in_some_steps_is_set_beside_all_and_none(rows, tmp_path, capsys):
    out = tmp_path / "out"
    training.main(study_of(out, rows, rates=False, around=False))
    found = [f for f in read_results(out / "training.json").figures if f.name == "mean held-out FVU, by AuxK"]
    rates = list(dict.fromkeys(figure.case["learning rate"] for figure in found))
    assert len(found) == 12 and [rate / rates[1] for rate in rates] == [0.5, 1, 2]
    cells = [json.loads(line)["cell"] for line in (out / "cells.jsonl").read_text().splitlines()]
    ways = {(cell["auxk_alpha"] > 0, cell["auxk_every"]) for cell in cells}
    assert ways == {(True, 1), (True, 2), (True, 4), (False, 2)}
    assert "every 2nd" in capsys.readouterr().out
