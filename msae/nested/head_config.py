"""`HeadConfig`: how a `MatryoshkaHead` is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from msae.core.checked import checked
from msae.core.config import require
from msae.nested.code import checked_widths

Objective = Literal["classes", "cosines"]
Progress = Callable[[int, float], None]
"""Called after every step with the steps done and the loss."""


@checked
@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """How to train an ordered linear map.

    `objective`: ``classes`` (cross-entropy of a linear classifier on every prefix; needs labels) or ``cosines``
    (self-distillation: every prefix keeps the cosine similarities of the full rows; needs none).
    `tied`: one classifier whose first rows serve every prefix (MRL-E), or one of its own a prefix (MRL).
    `level_weights`: c_m of each level's loss (default: all 1). `start`: ``pca`` (the principal components) or
    ``random`` (orthonormal directions of `seed`). `lr`: peak rate of AdamW, for rows scaled to E‖x‖² = d_in;
    up over the first tenth of the run, down over the last half. `checkpoint_every`: steps.
    """

    widths: tuple[int, ...]
    objective: Objective = "classes"
    tied: bool = False
    level_weights: tuple[float, ...] | None = None
    n_steps: int = 2000
    batch_size: int = 256
    lr: float = 3e-3
    weight_decay: float = 0.0
    start: Literal["pca", "random"] = "pca"
    seed: int = 0
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        checked_widths(self.widths)
        require(self.objective in ("classes", "cosines"), "objective", self.objective, "'classes' or 'cosines'")
        require(not self.tied or self.objective == "classes", "tied", self.tied, "False with 'cosines': no classifier")
        weights = self.level_weights
        right = weights is None or (len(weights) == len(self.widths) and min(weights) >= 0 and sum(weights) > 0)
        require(right, "level_weights", weights, f"{len(self.widths)} weights, none negative, not all zero")
        require(self.n_steps > 0, "n_steps", self.n_steps, "a positive number of steps")
        require(self.batch_size > 1, "batch_size", self.batch_size, "at least two rows a step")
        require(self.lr > 0, "lr", self.lr, "a positive learning rate")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "zero or more")
        require(self.start in ("pca", "random"), "start", self.start, "'pca' or 'random'")
        require(self.checkpoint_every > 0, "checkpoint_every", self.checkpoint_every, "a positive number of steps")

    @property
    def weights(self) -> tuple[float, ...]:
        """c_m of every level."""
        return self.level_weights or (1.0,) * len(self.widths)
