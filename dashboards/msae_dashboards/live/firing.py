"""Which latents fire on a text: one token's, and the whole text's, by level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from msae.analysis.interventions.prompt import PromptReading


@dataclass(frozen=True, kw_only=True)
class Fired:
    """A latent on a text: the sum and the largest of its activations, and on how many tokens it fires."""

    latent: int
    total: float
    largest: float
    n_tokens: int


class Firing:
    """The codes of a text as arrays. `levels`: the level of every latent."""

    def __init__(self, reading: PromptReading, levels: Int[np.ndarray, " d_sae"]) -> None:
        self.row = reading.codes.row.numpy()
        self.latent = reading.codes.latent.numpy()
        self.value = reading.codes.value.float().numpy()
        self.n_rows = reading.codes.n_rows
        self._levels = levels

    def on(self, latent: int) -> Float[np.ndarray, " tokens"]:
        """A latent's activation on every token."""
        values = np.zeros(self.n_rows, dtype=np.float32)
        mine = self.latent == latent
        values[self.row[mine]] = self.value[mine]
        return values

    def at(self, token: int, level: int) -> list[tuple[int, float]]:
        """The latents of one level that fire on a token and their activations, the strongest first."""
        here = (self.row == token) & (self._levels[self.latent] == level)
        order = np.argsort(-self.value[here], kind="stable")
        return list(zip(self.latent[here][order].tolist(), self.value[here][order].tolist(), strict=True))

    def of_level(self, level: int) -> list[Fired]:
        """The latents of one level that fire at all, the largest sum first."""
        mine = self._levels[self.latent] == level
        latents, place = np.unique(self.latent[mine], return_inverse=True)
        totals = np.bincount(place, self.value[mine], minlength=len(latents))
        largest = np.zeros(len(latents))
        np.maximum.at(largest, place, self.value[mine])
        counts = np.bincount(place, minlength=len(latents))
        found = [
            Fired(latent=latent, total=total, largest=most, n_tokens=count)
            for latent, total, most, count in zip(
                latents.tolist(), totals.tolist(), largest.tolist(), counts.tolist(), strict=True
            )
        ]
        return sorted(found, key=lambda fired: -fired.total)

    def strongest(self, token: int, levels: Sequence[int]) -> int | None:
        """The latent of these levels that fires most strongly on a token; None when none does."""
        found = [pair for level in levels for pair in self.at(token, level)[:1]]
        return max(found, key=lambda pair: pair[1])[0] if found else None

    def l0(self, width: int) -> float:
        """Mean number of latents below `width` that fire on a token."""
        return int((self.latent < width).sum()) / self.n_rows
