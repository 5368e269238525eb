"""`Labels`: which rows of a sample show which concept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Int

from msae.core.errors import EvaluationError


@dataclass(frozen=True, kw_only=True)
class Concept:
    """Something a token may or may not show.

    `parent`: a concept that holds wherever this one does (keyword, for the keyword ``def``). `within`: the rows among
    which it is distinguished from the rest, by their name in `Labels.rows`: a first letter among words. `family`:
    the concepts it is averaged with. `letter`: the one that a word begins with, where that is what it stands for.
    """

    name: str
    family: str
    within: str
    parent: str | None = None
    letter: str | None = None


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Labels of the first `n_rows` rows of a sample. `rows`: of each concept, and of each `within`, ascending.

    `notes`: what a reader must know, such as how many documents were labelled.
    """

    concepts: tuple[Concept, ...]
    rows: Mapping[str, Int[np.ndarray, " _"]]
    n_rows: int
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        names = [concept.name for concept in self.concepts]
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise EvaluationError(f"concepts named twice: {twice}: give each a name of its own")
        for concept in self.concepts:
            for what in (concept.name, concept.within):
                if what not in self.rows:
                    raise EvaluationError(f"the concept {concept.name!r} needs rows named {what!r}: there are none")
            if concept.parent is not None and concept.parent not in names:
                raise EvaluationError(f"the parent {concept.parent!r} of {concept.name!r} is no concept: label it too")

    def __len__(self) -> int:
        return len(self.concepts)

    def children(self, name: str) -> list[Concept]:
        """The concepts whose parent is `name`."""
        return [concept for concept in self.concepts if concept.parent == name]

    def shown_by(self, name: str, rows: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Which of `rows` show the concept `name`."""
        mask = np.zeros(self.n_rows, dtype=bool)
        mask[self.rows[name]] = True
        return mask[rows]

    def first(self, n_rows: int) -> Labels:
        """The labels of the first `n_rows` rows alone."""
        rows = {name: own[: np.searchsorted(own, n_rows)] for name, own in self.rows.items()}
        return replace(self, rows=rows, n_rows=min(n_rows, self.n_rows))


def joined(parts: Sequence[Labels]) -> Labels:
    """The concepts of all parts, which must label the same rows and name different concepts."""
    if not parts or len({part.n_rows for part in parts}) != 1:
        raise EvaluationError(f"labels of {[part.n_rows for part in parts]} rows cannot be joined: label the same rows")
    rows: dict[str, np.ndarray] = {}
    for part in parts:
        for name, own in part.rows.items():
            if name in rows and not np.array_equal(rows[name], own):
                raise EvaluationError(f"two sets of labels give {name!r} different rows: rename one of them")
            rows[name] = own
    return Labels(
        concepts=tuple(concept for part in parts for concept in part.concepts),
        rows=rows,
        n_rows=parts[0].n_rows,
        notes=tuple(note for part in parts for note in part.notes),
    )
