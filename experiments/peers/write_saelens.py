"""SAEs of every kind that SAELens trains, saved by its own code finished and unfinished, with the codes it gives.

Run with the Python of an environment that holds sae-lens (`make bench-peers` makes one)::

    .venv-peers/sae-lens/bin/python experiments/peers/write_saelens.py --out written

``written/<case>/`` is the folder of a finished SAE (`save_inference_model`), ``written/<case>, checkpoint/`` that of
one in training (`save_model`); ``written/<either>.safetensors`` holds ``x``, ``codes`` and ``reconstruction`` as
SAELens opens the folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from sae_lens import SAE, TrainingSAE
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAEConfig
from sae_lens.saes.jumprelu_sae import JumpReLUTrainingSAEConfig
from sae_lens.saes.matryoshka_batchtopk_sae import MatryoshkaBatchTopKTrainingSAEConfig
from sae_lens.saes.standard_sae import StandardTrainingSAEConfig
from sae_lens.saes.topk_sae import TopKTrainingSAEConfig
from safetensors.torch import save_file

D_IN, WIDTHS, K, ROWS = 24, (16, 48, 96), 8, 200
SHAPE = {"d_in": D_IN, "d_sae": WIDTHS[-1]}

CASES = {
    "standard": StandardTrainingSAEConfig(**SHAPE, l1_coefficient=1.0),
    "standard, b_dec not subtracted": StandardTrainingSAEConfig(
        **SHAPE, l1_coefficient=1.0, apply_b_dec_to_input=False
    ),
    "jumprelu": JumpReLUTrainingSAEConfig(**SHAPE),
    "top-k": TopKTrainingSAEConfig(**SHAPE, k=K, rescale_acts_by_decoder_norm=False),
    "top-k, scaled": TopKTrainingSAEConfig(**SHAPE, k=K, rescale_acts_by_decoder_norm=True),
    "batch top-k": BatchTopKTrainingSAEConfig(**SHAPE, k=K, rescale_acts_by_decoder_norm=False),
    "batch top-k, scaled": BatchTopKTrainingSAEConfig(**SHAPE, k=K, rescale_acts_by_decoder_norm=True),
    "matryoshka": MatryoshkaBatchTopKTrainingSAEConfig(**SHAPE, k=K, matryoshka_widths=list(WIDTHS)),
}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write into")
    out = parser.parse_args().out
    torch.manual_seed(0)
    for name, config in CASES.items():
        sae = TrainingSAE.from_dict(config.to_dict())
        for parameter in sae.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        for key, value in (("threshold", None), ("topk_threshold", None)):
            if value is None and key in sae.state_dict():
                getattr(sae, key).copy_(torch.rand_like(getattr(sae, key)) + 0.3)
        x = 1.5 * torch.randn(ROWS, D_IN)
        sae.save_inference_model(out / name)
        finished = SAE.load_from_disk(out / name)
        see(finished, x, out / f"{name}.safetensors")
        sae.save_model(out / f"{name}, checkpoint")
        (out / f"{name}, checkpoint" / "written.json").write_text(json.dumps({"of": name}), encoding="utf-8")
        see(finished, x, out / f"{name}, checkpoint.safetensors")
        print(f"{out / name}: {type(finished).__name__}")


def see(sae: SAE, x: torch.Tensor, path: Path) -> None:
    codes = sae.encode(x)
    save_file({"x": x, "codes": codes.contiguous(), "reconstruction": sae.decode(codes).contiguous()}, path)


if __name__ == "__main__":
    main()
