"""dictionary_learning's Matryoshka BatchTopK training step, timed on random rows, or trained on given ones.

    .venv-peers/dictionary-learning/bin/python experiments/peers/dictionary_learning_step.py --widths 1024 16384

Everything is the library's own: its trainer, its loss, its Adam, its input scaling (E‖x‖² = 1).
"""

from __future__ import annotations

import argparse
import contextlib

import dictionary_learning
import measure
import torch
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKTrainer
from torch import Tensor


def build(arguments: argparse.Namespace, sample: Tensor) -> measure.Peer:
    d_sae = arguments.widths[-1]
    decay_start = arguments.steps - arguments.lr_decay_steps if arguments.lr_decay_steps else None
    trainer = MatryoshkaBatchTopKTrainer(
        steps=max(arguments.steps, arguments.lr_warmup_steps + 1),
        activation_dim=arguments.d_in,
        dict_size=d_sae,
        k=arguments.k,
        layer=0,
        lm_name="none",
        group_fractions=group_fractions(arguments.widths),
        lr=arguments.lr,
        warmup_steps=arguments.lr_warmup_steps,
        decay_start=decay_start,
        threshold_start_step=min(1000, arguments.steps // 2),
        seed=arguments.seed,
        device=arguments.device,
    )
    sizes = [int(size) for size in trainer.ae.group_sizes]
    assert sizes == [b - a for a, b in zip([0, *arguments.widths], arguments.widths, strict=False)], sizes
    norm = float(sample.float().square().sum(1).mean().sqrt())
    taken = 0

    def step(x: Tensor) -> None:
        nonlocal taken
        precision = torch.autocast(torch.device(arguments.device).type, torch.bfloat16)
        with precision if arguments.autocast else contextlib.nullcontext():
            trainer.update(taken, x / norm)
        taken += 1

    @torch.no_grad()
    def pre_activations(x: Tensor) -> Tensor:
        return ((x / norm - trainer.ae.b_dec) @ trainer.ae.W_enc + trainer.ae.b_enc) * norm

    @torch.no_grad()
    def decoder() -> tuple[Tensor, Tensor]:
        return trainer.ae.W_dec.detach(), trainer.ae.b_dec.detach() * norm

    def threshold() -> float:
        return float(trainer.ae.threshold) * norm

    version = dictionary_learning.__version__
    return measure.Peer("dictionary-learning", version, trainer.lr, step, pre_activations, decoder, threshold)


def group_fractions(widths: list[int]) -> list[float]:
    """Fractions of d_sae that the library's truncation turns back into exactly these widths."""
    sizes = [wide - narrow for narrow, wide in zip([0, *widths], widths, strict=False)]
    inner = [(size + 0.5) / widths[-1] for size in sizes[:-1]]
    return [*inner, 1.0 - sum(inner)]


if __name__ == "__main__":
    measure.run(build, __doc__ or "")
