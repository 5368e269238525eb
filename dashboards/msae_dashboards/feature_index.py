"""`FeatureIndex`: all latents of a run as arrays, to filter, search and sort at 100,000 latents in milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from msae.analysis.tables import Status

SORTABLE = ("latent", "level", "density", "n_tokens", "max", "mean", "top_token", "explanation", "f1")


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which latents to show. Bounds are inclusive; None and empty let everything through.

    `query`: words that must all be found in a latent's top tokens or explanation, whatever their case. `token`: the
    same in its first token alone. `sort`: a name of `SORTABLE`; empty sorts by how much of the activation the words
    make up, or by number.
    """

    query: str = ""
    token: str = ""
    levels: tuple[int, ...] = ()
    alive: bool | None = None
    density: tuple[float | None, float | None] = (None, None)
    max: tuple[float | None, float | None] = (None, None)
    sort: str = ""
    descending: bool = False


@dataclass(frozen=True, kw_only=True)
class FeatureIndex:
    """Columns of ``features``, one entry a latent, and of ``explanations`` where there are any."""

    level: Int[np.ndarray, " d_sae"]
    density: Float[np.ndarray, " d_sae"]
    n_tokens: Int[np.ndarray, " d_sae"]
    mean: Float[np.ndarray, " d_sae"]
    max: Float[np.ndarray, " d_sae"]
    top_tokens: Sequence[Sequence[str]]
    top_shares: Sequence[Sequence[float]]
    explanation: Sequence[str | None]
    f1: Float[np.ndarray, " d_sae"]
    text: Sequence[str]

    @classmethod
    def of(cls, features: pa.Table, explanations: pa.Table | None = None) -> FeatureIndex:
        """From the tables. `KeyError`: a column is missing; `ValueError`: the latents are not 0 … d_sae − 1."""
        n = features.num_rows
        if not np.array_equal(features["latent"].to_numpy(), np.arange(n)):
            raise ValueError("the latents are not numbered 0 ... d_sae - 1 in order")
        explanation: list[str | None] = [None] * n
        f1 = np.full(n, np.nan)
        if explanations is not None:
            latents = explanations["latent"].to_numpy()
            for latent, said in zip(latents.tolist(), explanations["explanation"].to_pylist(), strict=True):
                explanation[latent] = said
            f1[latents] = _floats(explanations["f1"])
        top_tokens = [tokens or [] for tokens in features["top_tokens"].to_pylist()]
        return cls(
            level=features["level"].to_numpy(),
            density=_floats(features["density"]),
            n_tokens=features["n_tokens"].to_numpy(),
            mean=_floats(features["mean"]),
            max=_floats(features["max"]),
            top_tokens=top_tokens,
            top_shares=features["top_token_shares"].to_pylist(),
            explanation=explanation,
            f1=f1,
            text=["\n".join(tokens).lower() for tokens in top_tokens],
        )

    def __len__(self) -> int:
        return len(self.level)

    @property
    def n_levels(self) -> int:
        """How many levels there are."""
        return int(self.level.max(initial=-1)) + 1

    @property
    def has_explanations(self) -> bool:
        """Whether any latent has one."""
        return any(self.explanation)

    @property
    def alive(self) -> Bool[np.ndarray, " d_sae"]:
        """Which latents fire at all."""
        return self.n_tokens > 0

    def find(self, wanted: Filter) -> Int[np.ndarray, " found"]:
        """The latents that pass, in the order asked for; ties in the order of their numbers."""
        keep = np.ones(len(self), dtype=bool)
        if wanted.levels:
            keep &= np.isin(self.level, wanted.levels)
        if wanted.alive is not None:
            keep &= self.alive == wanted.alive
        for values, (low, high) in ((self.density, wanted.density), (self.max, wanted.max)):
            if low is not None:
                keep &= values >= low
            if high is not None:
                keep &= ~(values > high)
        relevance = np.zeros(len(self))
        if words := wanted.query.lower().split():
            for latent in np.flatnonzero(keep).tolist():
                keep[latent] = self._says(latent, words)
                if keep[latent]:
                    relevance[latent] = self._share(latent, words)
        if token := wanted.token.lower():
            for latent in np.flatnonzero(keep).tolist():
                keep[latent] = token in (self.top_tokens[latent] or [""])[0].lower()
        found = np.flatnonzero(keep)
        return found[self._order(found, wanted, relevance[found])]

    def near(self, latent: int, level: int | None = None) -> tuple[int | None, int | None]:
        """The latents before and after `latent` (of one level alone, if given); None at either end."""
        candidates = np.arange(len(self)) if level is None else np.flatnonzero(self.level == level)
        place = int(np.searchsorted(candidates, latent))
        after = place + (place < len(candidates) and candidates[place] == latent)
        before = int(candidates[place - 1]) if place > 0 else None
        return before, int(candidates[after]) if after < len(candidates) else None

    def _says(self, latent: int, words: Iterable[str]) -> bool:
        text, explanation = self.text[latent], (self.explanation[latent] or "").lower()
        return all(word in text or word in explanation for word in words)

    def _share(self, latent: int, words: Sequence[str]) -> float:
        shares = zip(self.top_tokens[latent], self.top_shares[latent], strict=False)
        return sum(share for token, share in shares if any(word in token.lower() for word in words))

    def _order(self, found: np.ndarray, wanted: Filter, relevance: np.ndarray) -> Int[np.ndarray, " found"]:
        if wanted.sort in ("top_token", "explanation"):
            keys = [self._word(wanted.sort, latent) for latent in found.tolist()]
            values = (
                np.unique(np.array(keys, dtype=object), return_inverse=True)[1].astype(float) if keys else relevance
            )
        elif wanted.sort == "latent":
            values = found.astype(float)
        elif wanted.sort in SORTABLE:
            values = getattr(self, wanted.sort)[found].astype(float)
        else:
            return np.argsort(-relevance, kind="stable")
        values = -values if wanted.descending else values
        return np.argsort(np.where(np.isnan(values), np.inf, values), kind="stable")

    def _word(self, column: str, latent: int) -> str:
        if column == "explanation":
            return self.explanation[latent] or "\uffff"
        return (self.top_tokens[latent] or ["\uffff"])[0]

    def record(self, latent: int) -> dict[str, Any]:
        """One latent as JSON values, NaN as None."""
        numbers = {name: float(getattr(self, name)[latent]) for name in ("density", "mean", "max", "f1")}
        return {
            "latent": latent,
            "level": int(self.level[latent]),
            "n_tokens": int(self.n_tokens[latent]),
            **{name: None if np.isnan(value) else value for name, value in numbers.items()},
            "top_tokens": list(self.top_tokens[latent]),
            "explanation": self.explanation[latent],
            "status": Status.NEVER if self.n_tokens[latent] == 0 else "",
        }


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    return column.to_numpy().astype(np.float64)
