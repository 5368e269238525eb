"""SAEs that the peers' own packages make and save, opened here: the same codes and reconstructions to 1e-5.

Each peer runs in an environment of its own: `make bench-peers`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from msae.sae.formats import as_sparse_autoencoder, read_foreign

ROOT = Path(__file__).parents[3]
PEERS = {
    "dictionary-learning": "write_dictionary_learning.py",
    "sparsify": "write_sparsify.py",
    "sae-lens": "write_saelens.py",
}
WIDTHS = (16, 48, 96)


@pytest.mark.slow
@pytest.mark.parametrize("peer", PEERS)
def test_what_a_peer_saves_is_what_it_encodes(peer, tmp_path):
    python = ROOT / ".venv-peers" / peer / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no {peer} here: run `make bench-peers` first")
    script = ROOT / "experiments" / "peers" / PEERS[peer]
    subprocess.run([python, script, "--out", tmp_path], check=True, capture_output=True)
    folders = [path for path in sorted(tmp_path.iterdir()) if path.is_dir()]
    assert folders
    for folder in folders:
        seen = load_file(tmp_path / f"{folder.name}.safetensors")
        foreign = read_foreign(folder)
        sae = as_sparse_autoencoder(foreign)
        # Codes are in units of decoder rows of norm 1; where rows are kept as they are, in the file's own.
        units = sae.W_dec.norm(dim=1) ** -1 * foreign.W_dec.norm(dim=1)
        units = torch.ones_like(units) if foreign.selects_scaled else units
        with torch.no_grad():
            torch.testing.assert_close(sae.encode_dense(seen["x"]), seen["codes"] * units, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(sae(seen["x"]), seen["reconstruction"], rtol=1e-5, atol=2e-5)
        if folder.name.startswith("matryoshka"):
            assert sae.prefix_widths == WIDTHS
