"""What SAELens makes of saved SAEs: their codes, their reconstructions, the level widths it sees, and what it saves.

Run with the Python of an environment that holds sae-lens (`make bench-peers` makes one)::

    .venv-peers/sae-lens/bin/python experiments/peers/sae_lens_roundtrip.py --rows x.safetensors --out seen SAE

`--rows` holds ``x`` (rows, d_in). For each folder SAE, ``seen/<its name>/`` gets the SAE as SAELens saves it again,
`seen.safetensors` with ``codes`` (rows, d_sae) and ``reconstruction`` (rows, d_in), and `seen.json` with the class that
SAELens chose, the widths and the metadata it sees, and its version.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from sae_lens import SAE, __version__
from safetensors.torch import load_file, save_file
from torch import Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("saes", type=Path, nargs="+", help="folders with cfg.json and sae_weights.safetensors")
    parser.add_argument("--rows", type=Path, required=True, help="a safetensors file with x (rows, d_in)")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write into")
    arguments = parser.parse_args()
    x = load_file(arguments.rows)["x"]
    for folder in arguments.saes:
        look(folder, x, arguments.out / folder.name)


@torch.no_grad()
def look(folder: Path, x: Tensor, out: Path) -> None:
    sae = SAE.load_from_disk(folder)
    codes = sae.encode(x)
    sae.save_model(out)
    save_file({"codes": codes.contiguous(), "reconstruction": sae.decode(codes)}, out / "seen.safetensors")
    details = sae.cfg.metadata.training_architecture_details or {}
    seen = {
        "sae_lens": __version__,
        "class": type(sae).__name__,
        "widths": details.get("matryoshka_widths"),
        "metadata": sorted(sae.cfg.metadata.keys()),
    }
    (out / "seen.json").write_text(json.dumps(seen, indent=2) + "\n", encoding="utf-8")
    print(f"{folder}: {seen['class']}, widths {seen['widths']}")


if __name__ == "__main__":
    main()
