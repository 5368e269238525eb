"""SAEs of every kind that dictionary_learning has, saved as its trainer saves them, with the codes it gives.

Run with the Python of an environment that holds dictionary_learning (`make bench-peers` makes one)::

    .venv-peers/dictionary-learning/bin/python experiments/peers/write_dictionary_learning.py --out written

Each ``written/<case>/`` holds `ae.pt` and `config.json`; ``written/<case>.safetensors`` holds ``x`` (rows, d_in),
``codes`` (rows, d_sae) and ``reconstruction`` (rows, d_in).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from dictionary_learning.dictionary import AutoEncoder, AutoEncoderNew, JumpReluAutoEncoder
from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
from dictionary_learning.trainers.top_k import AutoEncoderTopK
from safetensors.torch import save_file

D_IN, GROUPS, K, ROWS = 24, (16, 32, 48), 8, 200
D_SAE = sum(GROUPS)

CASES = {
    "matryoshka": lambda: MatryoshkaBatchTopKSAE(D_IN, D_SAE, K, list(GROUPS)),
    "batch_top_k": lambda: BatchTopKSAE(D_IN, D_SAE, K),
    "top_k": lambda: AutoEncoderTopK(D_IN, D_SAE, K),
    "jumprelu": lambda: JumpReluAutoEncoder(D_IN, D_SAE),
    "standard": lambda: AutoEncoder(D_IN, D_SAE),
    "april_update": lambda: AutoEncoderNew(D_IN, D_SAE),
}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write into")
    out = parser.parse_args().out
    torch.manual_seed(0)
    for name, make in CASES.items():
        sae = make()
        for parameter in sae.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        if "threshold" in sae.state_dict():
            sae.threshold.copy_(torch.rand_like(sae.threshold) + 0.3)
        x = 1.5 * torch.randn(ROWS, D_IN)
        codes = sae.encode(x)
        folder = out / name
        folder.mkdir(parents=True)
        torch.save({key: value.cpu() for key, value in sae.state_dict().items()}, folder / "ae.pt")
        trainer = {"dict_class": type(sae).__name__, "activation_dim": D_IN, "dict_size": D_SAE, "lm_name": "gpt2"}
        config = {"trainer": {**trainer, "submodule_name": "resid_post_layer_3", "k": K}, "buffer": {"ctx_len": 128}}
        (folder / "config.json").write_text(json.dumps(config, indent=4), encoding="utf-8")
        seen = {"x": x, "codes": codes.contiguous(), "reconstruction": sae.decode(codes).contiguous()}
        save_file(seen, out / f"{name}.safetensors")
        print(f"{folder}: {type(sae).__name__}")


if __name__ == "__main__":
    main()
