"""An SAE that sparsify saves, with the codes it gives.

Run with the Python of an environment that holds sparsify (`make bench-peers` makes one)::

    .venv-peers/sparsify/bin/python experiments/peers/write_sparsify.py --out written

Each ``written/<case>/`` is a hook point's folder; ``written/<case>.safetensors`` holds ``x``, ``codes`` and
``reconstruction``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from sparsify import SparseCoder
from sparsify.config import SparseCoderConfig

D_IN, D_SAE, K, ROWS = 24, 96, 8, 200

CASES = {
    "unit rows": SparseCoderConfig(num_latents=D_SAE, k=K),
    "free rows": SparseCoderConfig(expansion_factor=D_SAE // D_IN, k=K, normalize_decoder=False),
}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write into")
    out = parser.parse_args().out
    torch.manual_seed(0)
    for name, config in CASES.items():
        sae = SparseCoder(D_IN, config)
        for parameter in sae.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        if config.normalize_decoder:
            sae.set_decoder_norm_to_unit_norm()
        x = 1.5 * torch.randn(ROWS, D_IN)
        top = sae.encode(x)
        codes = torch.zeros(ROWS, D_SAE).scatter(1, top.top_indices, top.top_acts)
        # `decode` wants a compiled embedding bag that some CPUs lack; this is its definition.
        reconstruction = codes @ sae.W_dec + sae.b_dec
        sae.save_to_disk(out / name)
        save_file({"x": x, "codes": codes, "reconstruction": reconstruction}, out / f"{name}.safetensors")
        print(f"{out / name}: SparseCoder")


if __name__ == "__main__":
    main()
