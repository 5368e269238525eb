"""What SAELens makes of a saved SAE: its codes, its reconstructions and the level widths it sees.

Run with the Python of an environment that holds sae-lens (`make bench-peers` makes one)::

    .venv-peers/sae-lens/bin/python experiments/peers/sae_lens_roundtrip.py runs/demo/sae x.safetensors out.safetensors

`x.safetensors` holds ``x`` (rows, d_in). `out.safetensors` gets ``codes`` (rows, d_sae) and ``reconstruction``
(rows, d_in); the level widths, the class SAELens chose and its version are printed as JSON.
"""

from __future__ import annotations

import argparse
import json

import torch
from sae_lens import SAE, __version__
from safetensors.torch import load_file, save_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sae", help="a folder with cfg.json and sae_weights.safetensors")
    parser.add_argument("inputs", help="a safetensors file with a tensor x (rows, d_in)")
    parser.add_argument("out", help="the safetensors file to write")
    arguments = parser.parse_args()

    sae = SAE.load_from_disk(arguments.sae)
    with torch.no_grad():
        codes = sae.encode(load_file(arguments.inputs)["x"])
        reconstruction = sae.decode(codes)
    save_file({"codes": codes.contiguous(), "reconstruction": reconstruction.contiguous()}, arguments.out)

    details = sae.cfg.metadata.training_architecture_details or {}
    print(
        json.dumps(
            {
                "sae_lens": __version__,
                "class": type(sae).__name__,
                "widths": details.get("matryoshka_widths"),
                "metadata": sorted(sae.cfg.metadata.keys()),
            }
        )
    )


if __name__ == "__main__":
    main()
