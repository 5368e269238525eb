"""What `bench_step` times: a training step and the product it cannot do without, at a setting of sizes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

import msae
from experiments.lib.interleaved import Work
from msae.activations.synthetic import SyntheticForest


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Sizes of a step."""

    d_in: int = 512
    widths: tuple[int, ...] = (1024, 2048, 4096, 8192, 16384)
    k: int = 32
    batch: int = 2048
    threads: int = torch.get_num_threads()
    device: str = "cpu"

    @property
    def d_sae(self) -> int:
        return self.widths[-1]

    @property
    def product_dtype(self) -> torch.dtype:
        """What the product a step is compared with is made in."""
        return torch.bfloat16 if self.device.startswith("cuda") else torch.float32

    @property
    def nesting(self) -> msae.FixedPrefixes:
        return msae.FixedPrefixes(self.widths)


def batches_of_activations(setting: Setting, n_batches: int = 4) -> tuple[torch.Tensor, ...]:
    """Sparse sums of directions, as real activations are, so that thresholds and candidates are realistic."""
    forest = SyntheticForest(d_in=setting.d_in, n_roots=setting.d_in, root_rate=0.02, noise_std=0.1)
    return forest.sample(n_batches * setting.batch, seed=0)[0].to(setting.device).split(setting.batch)


def product(setting: Setting, batches: tuple[torch.Tensor, ...]) -> Work:
    """The encoder's forward product by itself, into memory that is there: in float32, on a GPU in bf16."""
    kind = {"device": setting.device, "dtype": setting.product_dtype}
    x, W = [batch.to(**kind) for batch in batches], torch.randn(setting.d_sae, setting.d_in).to(**kind)
    out = torch.empty(setting.batch, setting.d_sae, **kind)
    return lambda i: torch.mm(x[i % len(x)], W.T, out=out)


def product_anew(setting: Setting, batches: tuple[torch.Tensor, ...]) -> Work:
    """The same into new memory, as x @ W makes it."""
    W = torch.randn(setting.d_sae, setting.d_in)
    return lambda i: batches[i % len(batches)] @ W.T


def step(
    setting: Setting,
    batches: tuple[torch.Tensor, ...],
    nesting: msae.Nesting | None = None,
    *,
    kernel: str = "auto",
    dead: float = 0.0,
) -> Work:
    """A whole `Trainer.step`: losses, gradients, clipping, Adam, renormalisation.

    `nesting`: by default that of the setting. With a share `dead` of the latents AuxK takes part, in every step.
    """
    sae = msae.SparseAutoencoder(setting.d_in, setting.d_sae, msae.BatchTopK(k=setting.k), nesting or setting.nesting)
    sae = sae.to(setting.device)
    config = msae.TrainConfig(
        n_tokens=10**9,
        batch_size=setting.batch,
        kernel=kernel,  # type: ignore[arg-type]
        auxk_alpha=1 / 32 if dead else 0.0,
        auxk_every=1,
        dead_after_tokens=1,
    )
    trainer = msae.Trainer(sae, config, torch.cat(batches), reservoir_rows=0)
    if dead:
        share = (torch.rand(sae.d_sae, generator=torch.Generator().manual_seed(0)) < dead).to(setting.device)
        trainer.silence.dead = lambda: share  # type: ignore[method-assign]
        trainer.steps_done = 1
    return lambda i: trainer.step(batches[i % len(batches)])
