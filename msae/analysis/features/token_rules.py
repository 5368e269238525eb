"""Rules about tokens that predict where something happens: fitted on one half of a text, scored on the other.

A rule is one or two conditions, each on the token at a place: the token itself, the one before it, or the one before
that. A condition allows a few tokens, or all of one kind (`token_words.KINDS`). Where there is no token at a place,
what there is instead counts as one: the start of the model's context, or that of a passage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from msae.analysis.features.token_words import KINDS, one_of
from msae.analysis.sample import Origin
from msae.analysis.sample.code_table import ranges

PLACES = (0, 1, 2)
LEAST_SEEN = 2
STARTS = ("passage", "context")
"""What can be at a place that holds no token, each an id behind those of the vocabulary: the start of a passage, whose
tokens before are another document's or have no row, or that of a context, before which the model had read nothing."""


@dataclass(frozen=True)
class Condition:
    """The token `back` places before is one of `allowed`.

    `allowed`: ids, the most telling first; those from the vocabulary's size on are `STARTS`. `kind`: the name of the
    tokens allowed when they are all those of a kind.
    """

    back: int
    allowed: tuple[int, ...]
    kind: str | None = None

    def text(self, words: Sequence[str]) -> str:
        """In words; `words`: a quoted text for every id of the vocabulary."""
        starts = [STARTS[token - len(words)] for token in self.allowed if token >= len(words)]
        tokens = [words[token] for token in self.allowed if token < len(words)]
        parts = []
        if tokens:
            what = self.kind or one_of(tokens)
            parts.append((what, f"after {what}", f"two tokens after {what}")[self.back])
        if starts:
            first = ("first token", "one of the first two tokens")[self.back - 1]
            parts.append(f"as {'the ' if self.back == 1 else ''}{first} of a {one_of(starts)}")
        return " or ".join(parts)

    def is_start(self, n_vocab: int) -> bool:
        """Whether it allows no token, only starts."""
        return min(self.allowed) >= n_vocab


@dataclass(frozen=True)
class Rule:
    """All of its conditions, in the order of their places."""

    conditions: tuple[Condition, ...]

    def text(self, words: Sequence[str]) -> str:
        """In words: "`(` after `print`", "a token two tokens after `import`", "the first token of a context"."""
        texts = [condition.text(words) for condition in self.conditions]
        if len(texts) == 1 and self.conditions[0].is_start(len(words)):
            return texts[0].removeprefix("as ")
        return " ".join(texts) if self.conditions[0].back == 0 else f"a token {' and '.join(texts)}"


@dataclass(frozen=True)
class Score:
    """`fires`, `predicted`, `right`: tokens where it happens, where the rule says so, and where both."""

    fires: int
    predicted: int
    right: int

    @property
    def precision(self) -> float | None:
        """right / predicted; None when the rule is never met."""
        return self.right / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """right / fires; None when it never happens."""
        return self.right / self.fires if self.fires else None

    @property
    def f1(self) -> float:
        """2 right / (predicted + fires), 0 when both are none."""
        return 2 * self.right / max(self.predicted + self.fires, 1)


class TokenPlaces:
    """The tokens at each place of some rows of a sample, and where each token stands."""

    def __init__(self, at: Int[np.ndarray, "places rows"], n_vocab: int) -> None:
        self.at, self.n_vocab = at, n_vocab
        self.n_ids = n_vocab + len(STARTS)
        self.base = np.stack([np.bincount(tokens, minlength=self.n_ids) for tokens in at])

    @classmethod
    def of(cls, origin: Origin, rows: Bool[np.ndarray, " sample"], n_vocab: int) -> TokenPlaces:
        """Those of the rows chosen. A place outside the row's passage holds what the passage begins with: `n_vocab`
        and beyond, in the order of `STARTS`."""
        here = np.flatnonzero(rows)
        begins = origin.passage[0][here]
        opens = np.zeros(len(here), bool) if origin.opens_context is None else origin.opens_context[begins]
        start = n_vocab + opens
        at = [np.where(here - back >= begins, origin.token_id[np.maximum(here - back, 0)], start) for back in PLACES]
        return cls(np.stack(at).astype(np.int32), n_vocab)

    @cached_property
    def _by_token(self) -> Int[np.ndarray, "places rows"]:
        return np.argsort(self.at, axis=1, kind="stable").astype(np.int32)

    @cached_property
    def _start(self) -> Int[np.ndarray, "places vocab"]:
        return np.concatenate([np.zeros((len(self.at), 1), np.int64), self.base.cumsum(axis=1)], axis=1)

    def where(self, condition: Condition) -> Int[np.ndarray, " n"]:
        """The rows (counted within those chosen) that meet a condition."""
        allowed = np.array(condition.allowed)
        begin = self._start[condition.back, allowed]
        return self._by_token[condition.back][ranges(begin, self.base[condition.back, allowed])]

    def meets(self, condition: Condition, rows: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Which of `rows` meet a condition."""
        return np.isin(self.at[condition.back, rows], condition.allowed)

    def score(self, rule: Rule, fires: Int[np.ndarray, " n"]) -> Score:
        """How well a rule says where something happens, `fires` being the rows where it does."""
        first, *rest = sorted(rule.conditions, key=lambda c: self.base[c.back, list(c.allowed)].sum())
        predicted, right = self.where(first), fires[self.meets(first, fires)]
        for condition in rest:
            predicted = predicted[self.meets(condition, predicted)]
            right = right[self.meets(condition, right)]
        return Score(fires=len(fires), predicted=len(predicted), right=len(right))


def fit_rule(
    places: TokenPlaces,
    fires: Int[np.ndarray, " n"],
    kinds: Float[np.ndarray, "kinds vocab"],
    *,
    most_tokens: int,
    least_gain: float,
) -> Rule | None:
    """The rule of the highest F1 found: the best single condition, and a second one where it adds `least_gain`.

    `kinds`: 1 where a token is of a kind; its last columns are those of `STARTS`.
    None when no token is seen `LEAST_SEEN` times with it.
    """
    singles = [
        found
        for back in PLACES
        for found in _conditions(places.at[back, fires], places.base[back], back, len(fires), kinds, most_tokens)
    ]
    if not singles:
        return None
    singles.sort(key=lambda found: -found[0])
    best_f1, best = singles[0][0], Rule((singles[0][1],))
    least = best_f1 + least_gain
    for _, first in singles[:2]:
        among, right = places.where(first), fires[places.meets(first, fires)]
        for back in PLACES:
            if back == first.back or len(right) < LEAST_SEEN:
                continue
            base = np.bincount(places.at[back, among], minlength=places.n_ids)
            for f1, second in _conditions(places.at[back, right], base, back, len(fires), kinds, most_tokens):
                if f1 >= least and f1 > best_f1:
                    best_f1, best = f1, Rule(tuple(sorted((first, second), key=lambda c: c.back)))
    return best


def best_tokens(
    seen: Int[np.ndarray, " tokens"], base: Int[np.ndarray, " tokens"], n_fires: int, most: int
) -> tuple[float, Int[np.ndarray, " chosen"]]:
    """The at most `most` tokens whose union has the highest F1 = 2 Σ seen / (Σ base + n_fires), and that F1.

    Exact: the maximum of a ratio over sets, by Dinkelbach's iteration (1967): the best set for F1 = λ holds the tokens
    of the largest 2 seen − λ base, and λ grows until no set is better.
    """
    f1, chosen = 0.0, np.empty(0, dtype=np.int64)
    while True:
        worth = 2 * seen - f1 * base
        order = np.argsort(-worth, kind="stable")[:most]
        candidate = order[worth[order] > 0]
        if len(candidate) == 0:
            return f1, chosen
        better = 2 * float(seen[candidate].sum()) / float(base[candidate].sum() + n_fires)
        if better <= f1:
            return f1, chosen
        f1, chosen = better, candidate


def _conditions(
    tokens: Int[np.ndarray, " n"],
    base: Int[np.ndarray, " vocab"],
    back: int,
    n_fires: int,
    kinds: Float[np.ndarray, "kinds vocab"],
    most: int,
) -> list[tuple[float, Condition]]:
    """The best few tokens at a place, and the best kind where that is better: the F1 of each."""
    ids, seen = np.unique(tokens, return_counts=True)
    often = seen >= LEAST_SEEN
    if not often.any():
        return []
    f1, chosen = best_tokens(seen[often], base[ids[often]], n_fires, most)
    out = [(f1, Condition(back, tuple(ids[often][chosen].tolist())))]
    kind_f1 = _kind_f1(ids, seen, base, n_fires, kinds)
    kind = int(kind_f1.argmax()) if len(kind_f1) else None
    if kind is not None and kind_f1[kind] > f1:
        out.append((float(kind_f1[kind]), Condition(back, tuple(np.flatnonzero(kinds[kind]).tolist()), KINDS[kind][0])))
    return out


def _kind_f1(
    ids: np.ndarray, seen: np.ndarray, base: np.ndarray, n_fires: int, kinds: np.ndarray
) -> Float[np.ndarray, " kinds"]:
    return 2 * (kinds[:, ids] @ seen) / (kinds @ base + n_fires)
