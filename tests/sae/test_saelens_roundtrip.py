"""A saved SAE is the SAE that SAELens opens: the same codes, the same reconstructions, the level widths seen.

The real sae-lens runs in an environment of its own, since it needs another transformer-lens: `make bench-peers`.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from msae.core.rng import torch_stream
from msae.sae.activation_fns import ActivationFunction, BatchTopK, JumpReLU, ReLU, TopK
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.checkpoint import load, save
from msae.sae.nesting import FixedPrefixes, Nesting, SampledPrefixes, Unnested

ROOT = Path(__file__).parents[2]
PEER = ROOT / ".venv-peers" / "sae-lens" / "bin" / "python"
SCRIPT = ROOT / "experiments" / "peers" / "sae_lens_roundtrip.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PEER.exists(), reason="no sae-lens here: run `make bench-peers` first"),
]

D_IN, WIDTHS, ROWS = 24, (16, 48, 96), 200

CASES = {
    "batch top-k": (BatchTopK(k=8), FixedPrefixes(WIDTHS), "JumpReLUSAE"),
    "batch top-k, unnested": (BatchTopK(k=8), Unnested(), "JumpReLUSAE"),
    "batch top-k, sampled prefixes": (BatchTopK(k=8), SampledPrefixes(n=3, widths=WIDTHS), "JumpReLUSAE"),
    "jump-relu": (JumpReLU(l0=8), FixedPrefixes(WIDTHS), "JumpReLUSAE"),
    "top-k": (TopK(k=8), FixedPrefixes(WIDTHS), "TopKSAE"),
    "relu": (ReLU(l1_coefficient=0.1), FixedPrefixes(WIDTHS), "StandardSAE"),
}


def trained_like(fn: ActivationFunction, nesting: Nesting) -> SparseAutoencoder:
    """An SAE in `eval()` mode none of whose parameters is at its start, with a threshold that differs per latent."""
    generator = torch_stream(7, "test/saelens")
    sae = SparseAutoencoder(D_IN, WIDTHS[-1], fn, nesting, seed=3)
    with torch.no_grad():
        sae.W_enc += 0.2 * torch.randn(sae.W_enc.shape, generator=generator)
        sae.b_enc += 0.1 * torch.randn(sae.b_enc.shape, generator=generator)
        sae.b_dec += torch.randn(sae.b_dec.shape, generator=generator)
        sae.threshold.copy_(0.5 + torch.rand(sae.threshold.shape, generator=generator))
    return sae.eval()


def rows() -> Tensor:
    return 1.5 * torch.randn(ROWS, D_IN, generator=torch_stream(8, "test/saelens rows"))


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with, for each case and for one level taken alone, what SAELens saw and saved."""
    folder = tmp_path_factory.mktemp("saelens")
    save_file({"x": rows()}, folder / "x.safetensors")
    saved = [save(trained_like(fn, nesting), folder / "saved" / name) for name, (fn, nesting, _) in CASES.items()]
    saved.append(save(trained_like(*CASES["batch top-k"][:2]).truncate(1), folder / "saved" / "level 1 alone"))
    command = [PEER, SCRIPT, "--rows", folder / "x.safetensors", "--out", folder / "seen", *saved]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder / "seen"


@pytest.mark.parametrize("name", CASES)
def test_saelens_sees_the_same_sae(name: str, seen: Path) -> None:
    fn, nesting, expected_class = CASES[name]
    sae, x = trained_like(fn, nesting), rows()
    tensors, report = what_it_saw(seen / name)
    with torch.no_grad():
        codes, reconstruction = sae.encode_dense(x), sae.reconstruct(x)
    assert 0 < (codes > 0).sum() < codes.numel()
    torch.testing.assert_close(tensors["codes"], codes, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(tensors["reconstruction"], reconstruction, atol=1e-5, rtol=1e-5)
    assert report["class"] == expected_class
    assert report["widths"] == list(sae.prefix_widths)
    assert "msae" in report["metadata"]


@pytest.mark.parametrize("name", CASES)
def test_what_saelens_saves_again_opens_here(name: str, seen: Path) -> None:
    fn, nesting, _ = CASES[name]
    sae, again, x = trained_like(fn, nesting), load(seen / name), rows()
    assert again.activation_fn == fn
    assert again.nesting == nesting
    with torch.no_grad():
        torch.testing.assert_close(again.encode_dense(x), sae.encode_dense(x))


def test_saelens_opens_a_level_taken_alone(seen: Path) -> None:
    sae, x = trained_like(*CASES["batch top-k"][:2]), rows()
    tensors, report = what_it_saw(seen / "level 1 alone")
    with torch.no_grad():
        torch.testing.assert_close(tensors["codes"], sae.encode_dense(x)[:, : WIDTHS[1]], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(tensors["reconstruction"], sae.reconstruct(x, level=1), atol=1e-5, rtol=1e-5)
    assert report["widths"] == list(WIDTHS[:2])


def what_it_saw(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    return load_file(folder / "seen.safetensors"), json.loads((folder / "seen.json").read_text())
