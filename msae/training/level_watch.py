"""Watching levels while they train: one that adds next to nothing is named while something can still be done."""

from __future__ import annotations

import warnings

from msae.training.trainer import Trainer

MOSTLY = 0.9


class LevelWatch:
    """Warns, once a level, when nine tenths of the latents that it adds are dead."""

    def __init__(self, name: str) -> None:
        self._which = f"{name!r}, " if name else ""
        self._named: set[int] = set()

    def look(self, trainer: Trainer) -> None:
        """Warn of levels that were not warned of before."""
        dead, sae = trainer.silence.dead(), trainer.sae
        for level in range(sae.n_levels):
            band = sae.band(level)
            share = dead[band].double().mean().item()
            if share < MOSTLY or level in self._named:
                continue
            self._named.add(level)
            warnings.warn(
                f"{self._which}step {trainer.steps_done}: {share:.0%} of the latents that level {level} adds "
                f"({band.start} … {band.stop - 1}) have been silent for {trainer.config.silent_tokens_until_dead:,} "
                f"tokens, so it adds next to nothing. Use {sae.activation_fn.for_more_codes()}, or a smaller lr",
                stacklevel=2,
            )
