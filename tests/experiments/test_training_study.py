"""The study of training settings runs from nothing to its tables, and goes on where it was stopped."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from msae.core.rng import torch_stream

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(EXPERIMENTS))
    spec = importlib.util.spec_from_file_location("training_study", EXPERIMENTS / "training_study.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["training_study"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(EXPERIMENTS))
    return module


@pytest.fixture
def rows(tmp_path) -> Path:
    generator = torch_stream(0, "test/training study")
    directions = torch.nn.functional.normalize(torch.randn(48, 16, generator=generator), dim=1)
    active = torch.rand(1536, 48, generator=generator) < 0.05
    x = (active * (1 + torch.rand(1536, 48, generator=generator))) @ directions
    save_file({"x": x[:1280].contiguous(), "heldout": x[1280:].contiguous()}, tmp_path / "known.safetensors")
    return tmp_path / "known.safetensors"


def study_of(script, out: Path, rows: Path, **changes):
    settings = {"sizes": (64,), "batches": (64,), "tokens": 1280, "lengths": (640,), "sources": (), "threads": 1}
    return script.Study(out=out, rows=rows, rows_k=2, **settings | changes)


def test_every_cell_is_trained_once_and_kept(script, rows, tmp_path, capsys):
    out = tmp_path / "out"
    script.main(study_of(script, out, rows, around=False, auxk=False))
    first = (out / "cells.jsonl").read_text()
    said = capsys.readouterr().out
    assert "the default rate loses" in said and "known" in said
    cells = [json.loads(line) for line in first.splitlines()]
    assert len({json.dumps(line["cell"], sort_keys=True) for line in cells}) == len(cells)
    assert all(0 < line["score"] < 1.2 and 0 <= line["dead"] <= 1 for line in cells if line["score"] is not None)
    results = json.loads((out / "training_study.json").read_text())
    assert len(results["rates"]) == 2
    assert all(row["scores"][str(row["best"])] == min(row["scores"].values()) for row in results["rates"])
    # A kill left half a line: only that cell is trained again.
    lines = first.splitlines(keepends=True)
    (out / "cells.jsonl").write_text("".join(lines[:-1]) + lines[-1][:20])
    script.main(study_of(script, out, rows, around=False, auxk=False))
    again = [json.loads(line) for line in (out / "cells.jsonl").read_text().splitlines()]
    untimed = [[{k: v for k, v in line.items() if k != "cpu_seconds"} for line in run] for run in (cells, again)]
    assert untimed[0] == untimed[1]


def test_batches_of_every_size_walk_the_same_order(script):
    x = torch.arange(64.0)[:, None]
    small, large = script.shuffled(x, 8), script.shuffled(x, 16)
    for _ in range(8):
        pair = torch.cat([next(small), next(small)])
        assert torch.equal(pair, next(large))


def test_shapes_of_decay_start_at_one_and_end_at_zero(script):
    for shape in script.SHAPES.values():
        assert shape(1.0) == pytest.approx(1) and shape(0.0) == pytest.approx(0)
    sae = script.msae.SparseAutoencoder(8, 16, script.msae.BatchTopK(k=2))
    config = script.msae.TrainConfig(n_tokens=320, batch_size=32, lr=1.0, warmup_fraction=0.2, decay_fraction=0.5)
    trainer = script.ShapedTrainer(sae, config, torch.randn(64, 8, generator=torch_stream(0, "test/shape")))
    trainer.shape = script.SHAPES["cosine"]
    rates = []
    for _ in range(config.n_steps):
        rates.append(trainer.lr)
        trainer.steps_done += 1
    assert rates[:6] == [0.5, 1, 1, 1, 1, 1]
    assert rates[6:] == pytest.approx([0.9045085, 0.6545085, 0.3454915, 0.0954915])


def test_a_cell_is_trained_with_the_defaults(script):
    cell = script.Cell(source="demo", d_sae=64, batch=64, tokens=1280, lr=1e-3)
    config = script.msae.TrainConfig(n_tokens=1280, batch_size=64)
    for name in ("auxk_alpha", "auxk_every", "auxk_residual", "beta1", "beta2", "grad_clip"):
        assert getattr(cell, name) == getattr(config, name), name
    assert (cell.warmup, cell.decay) == (config.warmup_fraction, config.decay_fraction)
    assert round(cell.dead_after * cell.tokens) == pytest.approx(config.silent_tokens_until_dead, abs=1)


def test_auxk_in_some_steps_is_set_beside_all_and_none(script, rows, tmp_path, capsys):
    out = tmp_path / "out"
    script.main(study_of(script, out, rows, rates=False, around=False))
    found = json.loads((out / "training_study.json").read_text())["auxk"]
    assert [row["lr"] / found[1]["lr"] for row in found] == [0.5, 1, 2]
    cells = [json.loads(line)["cell"] for line in (out / "cells.jsonl").read_text().splitlines()]
    ways = {(cell["auxk_alpha"] > 0, cell["auxk_every"]) for cell in cells}
    assert ways == {(True, 1), (True, 2), (True, 4), (False, 2)}
    assert "every 2nd" in capsys.readouterr().out
