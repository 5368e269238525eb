"""`FeatureIndex`: all latents of a run as arrays, to filter, search and sort at 100,000 latents in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from msae.analysis.tables import Status
from msae_dashboards.data.filter import Filter
from msae_dashboards.data.query import Query, meant

BETWEEN = "\x00"
"""What no token holds: it stands around each, so that a whole one can be looked for in all of them together."""
SORTABLE = ("latent", "level", "density", "n_tokens", "max", "mean", "top_token", "explanation", "f1")


@dataclass(frozen=True, kw_only=True)
class FeatureIndex:
    """Columns of ``features``, one entry a latent, and of ``explanations`` where there are any.

    `text`: the top tokens in one; `promoted`: the tokens with the largest logits in one, read when first looked for.
    """

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
    promoted: Callable[[], Sequence[str]]

    @classmethod
    def of(
        cls,
        features: pa.Table,
        explanations: pa.Table | None = None,
        promoted: Callable[[], Sequence[str]] | None = None,
    ) -> FeatureIndex:
        """From the tables. `KeyError`: a column is missing; `ValueError`: the latents are not 0 … d_sae − 1."""
        n = features.num_rows
        if not np.array_equal(features["latent"].to_numpy(), np.arange(n)):
            raise ValueError("the latents are not numbered 0 ... d_sae - 1 in order")
        explanation: list[str | None] = [None] * n
        f1 = np.full(n, np.nan)
        if explanations is not None:
            latents = explanations["latent"].to_numpy()
            for latent, text in zip(latents.tolist(), explanations["explanation"].to_pylist(), strict=True):
                explanation[latent] = text
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
            text=[joined(tokens) for tokens in top_tokens],
            promoted=promoted or (lambda: [""] * n),
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
        """The latents that pass, in the requested order; ties in the order of their numbers."""
        query = Query.of(wanted.query)
        keep = np.ones(len(self), dtype=bool)
        for levels in (wanted.levels, query.levels):
            if levels:
                keep &= np.isin(self.level, levels)
        if wanted.alive is not None:
            keep &= self.alive == wanted.alive
        for values, (low, high) in ((self.density, wanted.density), (self.max, wanted.max)):
            if low is not None:
                keep &= values >= low
            if high is not None:
                keep &= ~(values > high)
        relevance = np.zeros(len(self))
        if query.looks_at_texts:
            for latent in np.flatnonzero(keep).tolist():
                keep[latent] = self._contains(latent, query)
                if keep[latent]:
                    relevance[latent] = self._share(latent, (*query.words, *query.exact))
        if token := meant(wanted.token).lower():
            for latent in np.flatnonzero(keep).tolist():
                keep[latent] = token in (self.top_tokens[latent] or [""])[0].lower()
        found = np.flatnonzero(keep)
        return found[self._order(found, wanted, relevance[found])]

    def walk(self, wanted: Filter) -> Int[np.ndarray, " found"]:
        """The latents to go through one by one: what `find` finds, but for those that never fire, of which there is
        nothing to see; unless they are what was looked for."""
        found = self.find(wanted)
        return found if wanted.alive is False else found[self.alive[found]]

    def around(self, latent: int, wanted: Filter) -> tuple[int | None, int | None]:
        """The latents before and after `latent` on a walk; None at either end. From a latent that is not on it:
        those nearest by number."""
        walk = self.walk(wanted)
        places = np.flatnonzero(walk == latent)
        if len(places):
            place = int(places[0])
            before, after = place - 1, place + 1
        else:
            walk = np.sort(walk)
            after = int(np.searchsorted(walk, latent))
            before = after - 1
        return (
            int(walk[before]) if before >= 0 else None,
            int(walk[after]) if after < len(walk) else None,
        )

    def _contains(self, latent: int, query: Query) -> bool:
        text, explanation = self.text[latent], (self.explanation[latent] or "").lower()
        return (
            all(word in text or word in explanation for word in query.words)
            and all(f"{BETWEEN}{token}{BETWEEN}" in text for token in query.exact)
            and (not query.logits or all(word in self.promoted()[latent] for word in query.logits))
        )

    def _share(self, latent: int, words: Sequence[str]) -> float:
        shares = zip(self.top_tokens[latent], self.top_shares[latent], strict=False)
        return sum((share for token, share in shares if any(word in token.lower() for word in words)), 0.0)

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


def joined(tokens: Sequence[str]) -> str:
    """Tokens as one text to search."""
    return BETWEEN + BETWEEN.join(tokens).lower() + BETWEEN
