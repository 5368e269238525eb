"""SAEBench's own code, on the same numbers, says the same: full absorption, absorption fraction, split latents.

The real sae-bench runs in an environment of its own, since it needs another transformer-lens: `make bench-peers`.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from msae.analysis.concepts.absorbed import TokenCodes, saebench_fraction, saebench_full
from msae.analysis.concepts.probes.code_probes import grow
from msae.analysis.sample import CodeTable
from msae.core.rng import torch_stream
from msae.sae.codes import SparseCodes

ROOT = Path(__file__).parents[3]
PEER = ROOT / ".venv-peers" / "sae-bench" / "bin" / "python"
SCRIPT = ROOT / "experiments" / "peers" / "sae_bench_absorption.py"
TOKENS, D_SAE, D_IN, MAIN = 1500, 40, 8, [3, 11]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PEER.exists(), reason="no sae-bench here: run `make bench-peers` first"),
]


def make_case() -> dict[str, torch.Tensor]:
    """Tokens of few codes, main latents off on most of them, in few enough dimensions that cosines are often large."""
    generator = torch_stream(0, "test/sae-bench")
    W_dec = torch.nn.functional.normalize(torch.randn(D_SAE, D_IN, generator=generator), dim=1)
    probe = torch.randn(D_IN, generator=generator)
    W_dec[MAIN] = torch.nn.functional.normalize(probe + 0.5 * torch.randn(2, D_IN, generator=generator), dim=1)
    fires = torch.rand(TOKENS, D_SAE, generator=generator) < 0.12
    codes = torch.where(fires, 3 * torch.rand(TOKENS, D_SAE, generator=generator), 0.0)
    codes[:5] = 0
    x = codes @ W_dec + 0.3 * torch.randn(TOKENS, D_IN, generator=generator)
    f1 = torch.rand(20, 10, generator=generator).cumsum(1) / 12 + 0.1
    return {"x": x, "codes": codes, "W_dec": W_dec, "probe": probe, "main": torch.tensor(MAIN), "f1": f1}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("saebench")
    save_file(make_case(), folder / "case.safetensors")
    command = [PEER, SCRIPT, "--case", folder / "case.safetensors", "--out", folder / "seen.json"]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads((folder / "seen.json").read_text())


def ours() -> tuple[np.ndarray, np.ndarray]:
    case = make_case()
    direction = case["probe"].double() / case["probe"].double().norm()
    codes = TokenCodes.of(CodeTable.of(SparseCodes.from_dense(case["codes"])), np.arange(TOKENS))
    cosine, projection = (case[name].double() @ direction for name in ("W_dec", "x"))
    arguments = (codes, cosine.numpy(), projection.numpy(), np.array(MAIN))
    return saebench_full(*arguments)[0], saebench_fraction(*arguments)


def test_full_absorption(seen: dict) -> None:
    full, _ = ours()
    assert 0.05 < full.mean() < 0.95  # the case has both
    assert full.tolist() == seen["full"]


def test_absorption_fraction(seen: dict) -> None:
    _, fraction = ours()
    assert ((fraction > 0) & (fraction < 1)).sum() > 50 and (fraction == 1).sum() > 50 and (fraction == 0).sum() > 50
    np.testing.assert_allclose(fraction, seen["fraction"], atol=1e-5)


def test_how_many_latents_a_concept_is_split_into(seen: dict) -> None:
    mine = [grow(iter(own), 0.03) for own in make_case()["f1"].tolist()]
    assert len(set(mine)) > 3
    assert mine == seen["main"]
