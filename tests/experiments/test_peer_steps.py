"""The peers' training steps run, learn, and are measured alike. They need `make bench-peers`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from msae.core.rng import torch_stream

ROOT = Path(__file__).parents[2]
PEERS = {"sae-lens": "sae_lens_step.py", "dictionary-learning": "dictionary_learning_step.py"}

pytestmark = pytest.mark.slow


def run_peer(peer: str, *options: str) -> dict[str, Any]:
    python = ROOT / ".venv-peers" / peer / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no {peer} here: run `make bench-peers` first")
    command = [str(python), str(ROOT / "experiments" / "peers" / PEERS[peer]), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("peer", PEERS)
def test_steps_are_timed_on_random_rows(peer: str, tmp_path: Path) -> None:
    size = ["--d-in", "16", "--widths", "10", "21", "64", "--k", "4", "--batch", "32"]
    report = run_peer(peer, *size, "--steps", "3", "--threads", "1", "--out", str(tmp_path / "report.json"))
    assert report["peer"] == peer
    assert len(report["seconds"]) == 3
    assert min(report["seconds"]) <= report["median_seconds"] <= max(report["seconds"])
    assert json.loads((tmp_path / "report.json").read_text()) == report


@pytest.mark.parametrize("peer", PEERS)
def test_figures_fall_with_level_and_l0_is_matched(peer: str, tmp_path: Path) -> None:
    generator = torch_stream(0, "test/peers")
    directions = torch.nn.functional.normalize(torch.randn(32, 16, generator=generator), dim=1)
    active = torch.rand(4096, 32, generator=generator) < 0.06
    x = (active * (1 + torch.rand(4096, 32, generator=generator))) @ directions
    save_file({"x": x[:3072].contiguous(), "heldout": x[3072:].contiguous()}, tmp_path / "x.safetensors")
    size = ["--widths", "16", "32", "64", "--k", "2", "--batch", "128", "--steps", "400", "--lr", "3e-3"]
    levels = run_peer(peer, "--data", str(tmp_path / "x.safetensors"), *size)["levels"]
    matched = levels["matched_l0"]
    assert matched["fvu"] == sorted(matched["fvu"], reverse=True)
    assert matched["fvu"][-1] < 0.5
    assert matched["l0"][-1] == pytest.approx(2.0, abs=0.01)
    assert levels["own_threshold"]["fvu"][-1] == pytest.approx(matched["fvu"][-1], abs=0.1)
