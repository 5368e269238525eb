"""`TrainConfig`: everything about a training run that is not the SAE or the data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from msae.core.checked import checked
from msae.core.config import require
from msae.sae.kernels import AUTO, KERNEL_NAMES


@checked
@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train. Sizes are in tokens (rows of activations), so that changing the batch keeps their meaning.

    `lr`: peak learning rate; None takes `default_lr(d_sae, batch_size, n_steps)`. The schedule is warmup – stable –
    decay: linear up over `warmup_fraction` of the run, linear down to zero over its last `decay_fraction`.
    `auxk_alpha`: weight of AuxK (0 turns it off). `auxk_every`: steps from one with AuxK to the next, where it weighs
    as much as in all of them together. `auxk_residual`: ``per_level`` (dead latents of a level reconstruct that
    prefix's residual) or ``full`` (all dead latents reconstruct the last residual).
    `dead_after_tokens`: a latent silent for so long is dead; None means 10 million or a 30th of the run, if less.
    `grad_clip`: largest gradient norm, None for no limit. `checkpoint_every`: tokens between checkpoints; None means a
    tenth of the run. `log_every`: steps between lines of metrics. `kernel`: ``auto``, or one of `msae.sae.kernels`;
    `block`: the most pre-activations it holds at once, None for its own choice (2 million on a CPU).
    """

    n_tokens: int
    batch_size: int = 2048
    lr: float | None = None
    warmup_fraction: float = 0.2
    decay_fraction: float = 0.2
    beta1: float = 0.9
    beta2: float = 0.999
    auxk_alpha: float = 1 / 32
    auxk_every: int = 2
    auxk_residual: Literal["per_level", "full"] = "per_level"
    dead_after_tokens: int | None = None
    grad_clip: float | None = 1.0
    checkpoint_every: int | None = None
    log_every: int = 10
    kernel: str = AUTO
    block: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.batch_size > 0, "batch_size", self.batch_size, "a positive number of rows a step")
        enough = self.n_tokens >= self.batch_size
        require(enough, "n_tokens", self.n_tokens, f"at least one batch of {self.batch_size} tokens")
        lr = self.lr
        require(lr is None or 0 < lr < math.inf, "lr", lr, "a positive learning rate, or None for the default rule")
        for name in ("warmup_fraction", "decay_fraction"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "a fraction of the run, from 0 to 1")
        both = self.warmup_fraction + self.decay_fraction
        require(both <= 1, "warmup_fraction + decay_fraction", both, "at most 1")
        for name in ("beta1", "beta2"):
            require(0 <= getattr(self, name) < 1, name, getattr(self, name), "a number in [0, 1)")
        require(0 <= self.auxk_alpha < math.inf, "auxk_alpha", self.auxk_alpha, "zero or more")
        require(self.auxk_every > 0, "auxk_every", self.auxk_every, "a positive number of steps")
        residuals = ("per_level", "full")
        require(self.auxk_residual in residuals, "auxk_residual", self.auxk_residual, f"one of {residuals}")
        silent = self.dead_after_tokens
        require(silent is None or silent > 0, "dead_after_tokens", silent, "a positive number of tokens, or None")
        clip = self.grad_clip
        require(
            clip is None or 0 < clip < math.inf, "grad_clip", clip, "a positive gradient norm, or None: no clipping"
        )
        every = self.checkpoint_every
        require(every is None or every > 0, "checkpoint_every", every, "a positive number of tokens, or None")
        require(self.log_every > 0, "log_every", self.log_every, "a positive number of steps")
        require(self.kernel in KERNEL_NAMES, "kernel", self.kernel, f"one of {KERNEL_NAMES}")
        block = self.block
        require(block is None or block > 0, "block", block, "a positive number of pre-activations, or None")

    @property
    def n_steps(self) -> int:
        """Steps in the run: n_tokens / batch_size, rounded down."""
        return self.n_tokens // self.batch_size

    @property
    def steps_between_checkpoints(self) -> int:
        """`checkpoint_every` in steps, at least one."""
        tokens = self.checkpoint_every or self.n_tokens // 10
        return max(1, tokens // self.batch_size)

    @property
    def silent_tokens_until_dead(self) -> int:
        """`dead_after_tokens`, or its default."""
        return self.dead_after_tokens or min(10_000_000, max(1, self.n_tokens // 30))


def default_lr(d_sae: int, batch_size: int, n_steps: int) -> float:
    """The peak learning rate when none is given: at most 2e-2, and else

    5e-3 · (4096 / d_sae)^⅓ · (batch_size / 2048)^¼ · (1000 / n_steps)^¼.

    Chosen on the 39 searches of ``experiments/studies/training.py`` (up to 4,096 latents and 2,929 steps; beyond them
    it is an extrapolation): below the rates of the lowest FVU, at which more latents die.
    """
    sizes = (4096 / d_sae) ** (1 / 3) * (batch_size / 2048) ** 0.25
    return min(2e-2, 5e-3 * sizes * (1000 / n_steps) ** 0.25)
