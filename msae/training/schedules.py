"""The learning rate over a run: warmup – stable – decay."""

from __future__ import annotations


def warmup_stable_decay(step: int, n_steps: int, warmup_fraction: float, decay_fraction: float) -> float:
    """The factor on the peak learning rate at `step` (from 0): linear up, flat, then linear down to 1 / decay steps."""
    warmup = round(warmup_fraction * n_steps)
    decay = round(decay_fraction * n_steps)
    up = (step + 1) / warmup if step < warmup else 1.0
    down = (n_steps - step) / decay if step > n_steps - decay else 1.0
    return max(0.0, min(up, down))
