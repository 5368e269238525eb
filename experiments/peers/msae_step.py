"""msae's own training step in the harness that the peers run in: the same batches, the same figures, its own defaults.

    python experiments/peers/msae_step.py --data rows.safetensors --widths 256 1024 4096 --k 32 --steps 272

`--lr` and the schedule are msae's own unless they are given.
"""

from __future__ import annotations

import argparse

import measure
import torch
from torch import Tensor

import msae


def build(arguments: argparse.Namespace, sample: Tensor) -> measure.Peer:
    sae = msae.SparseAutoencoder(
        arguments.d_in,
        arguments.widths[-1],
        msae.BatchTopK(k=arguments.k),
        msae.FixedPrefixes(tuple(arguments.widths)),
        seed=arguments.seed,
    ).to(arguments.device)
    config = msae.TrainConfig(
        n_tokens=max(arguments.steps, 1) * arguments.batch,
        batch_size=arguments.batch,
        lr=arguments.lr,
        seed=arguments.seed,
        **schedule(arguments),
    )
    trainer = msae.Trainer(sae, config, sample, reservoir_rows=0)
    assert trainer.scaling is not None
    scale = trainer.scaling.scale

    @torch.no_grad()
    def pre_activations(x: Tensor) -> Tensor:
        return sae.pre_activations(scale * x) / scale

    @torch.no_grad()
    def decoder() -> tuple[Tensor, Tensor]:
        return sae.W_dec.detach(), sae.b_dec.detach() / scale

    def threshold() -> float:
        return float(sae.threshold[0]) / scale

    return measure.Peer(
        "msae", msae.__version__, trainer.peak_lr, lambda x: trainer.step(x), pre_activations, decoder, threshold
    )


def schedule(arguments: argparse.Namespace) -> dict[str, float]:
    steps = {"warmup_fraction": arguments.lr_warmup_steps, "decay_fraction": arguments.lr_decay_steps}
    return {name: taken / arguments.steps for name, taken in steps.items() if taken}


if __name__ == "__main__":
    measure.run(build, __doc__ or "")
