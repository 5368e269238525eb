"""SAELens' Matryoshka BatchTopK training step, timed on random rows, or trained on given ones.

    .venv-peers/sae-lens/bin/python experiments/peers/sae_lens_step.py --d-in 512 --widths 1024 16384 --k 32

Everything is the library's own: its trainer, its loss, its Adam, its input scaling (E‖x‖ = √d_in).
"""

from __future__ import annotations

import argparse

import measure
import sae_lens
import torch
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.matryoshka_batchtopk_sae import (
    MatryoshkaBatchTopKTrainingSAE,
    MatryoshkaBatchTopKTrainingSAEConfig,
)
from sae_lens.training.sae_trainer import SAETrainer
from torch import Tensor


def build(arguments: argparse.Namespace, sample: Tensor) -> measure.Peer:
    lr = SAETrainerConfig.lr if arguments.lr is None else arguments.lr
    sae = MatryoshkaBatchTopKTrainingSAE(
        MatryoshkaBatchTopKTrainingSAEConfig(
            d_in=arguments.d_in,
            d_sae=arguments.widths[-1],
            k=arguments.k,
            matryoshka_widths=list(arguments.widths),
            device=arguments.device,
            normalize_activations="expected_average_only_in",
        )
    )
    trainer = SAETrainer(
        cfg=SAETrainerConfig(
            total_training_samples=arguments.steps * arguments.batch,
            train_batch_size_samples=arguments.batch,
            lr=lr,
            lr_end=lr,
            lr_warm_up_steps=arguments.lr_warmup_steps,
            lr_decay_steps=arguments.lr_decay_steps,
            device=arguments.device,
            autocast=arguments.autocast,
        ),
        sae=sae,
        data_provider=iter([sample]),
    )
    trainer.activation_scaler.estimate_scaling_factor(
        d_in=arguments.d_in, data_provider=iter([sample]), n_batches_for_norm_estimate=1
    )
    scale = trainer.activation_scaler.scaling_factor

    def step(x: Tensor) -> None:
        trainer.step(x)
        trainer.n_training_steps += 1

    @torch.no_grad()
    def pre_activations(x: Tensor) -> Tensor:
        # Raw units: the SAE saw scale·x, and its codes count in units of rows of W_dec with norm one.
        z = (scale * x - sae.b_dec) @ sae.W_enc + sae.b_enc
        return z * sae.W_dec.norm(dim=1) / scale

    @torch.no_grad()
    def decoder() -> tuple[Tensor, Tensor]:
        return sae.W_dec / sae.W_dec.norm(dim=1, keepdim=True), sae.b_dec / scale

    def threshold() -> float:
        return float(sae.topk_threshold) / scale

    return measure.Peer("sae-lens", sae_lens.__version__, lr, step, pre_activations, decoder, threshold)


if __name__ == "__main__":
    measure.run(build, __doc__ or "")
