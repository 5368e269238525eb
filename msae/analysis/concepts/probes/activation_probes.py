"""A linear probe on the activations for every concept: what an SAE's latents are measured against.

One fit for all concepts that are distinguished within the same rows. The threshold is the one with the largest F1 on
the documents fitted on (folded into the bias), since a fit that weighs both classes alike calls too many rows a rare
concept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.analysis.concepts.labels.labelled_rows import Concept, Labels
from msae.analysis.concepts.probes.logistic import LinearProbes, fit_logistic
from msae.analysis.concepts.probes.probe_scores import Documents, Score, best_threshold
from msae.analysis.concepts.probes.probe_settings import ProbeSettings
from msae.analysis.concepts.probes.shifted_labels import shift_within
from msae.analysis.sample import Rows
from msae.analysis.tables import Status
from msae.core.checked import checked
from msae.core.errors import EvaluationError
from msae.core.progress import bar

READ_ROWS = 1 << 13


@dataclass(frozen=True, kw_only=True)
class ActivationProbe:
    """The probe of one concept, ⟨weight, x⟩ + bias > 0, or why there is none.

    `n_tokens`, `n_documents`: that show the concept; `n_test`: of the tokens, those in test documents. `score` and
    `null` (of labels shifted, fitted anew) are on test documents. `hits`: the test rows with the concept on which the
    probe says so too, ascending.
    """

    concept: Concept
    status: str
    n_tokens: int
    n_documents: int
    n_test: int
    weight: Float[Tensor, " d_in"] | None = None
    bias: float | None = None
    score: Score | None = None
    null: Score | None = None
    hits: Int[np.ndarray, " n"] | None = None


@dataclass(frozen=True, kw_only=True)
class ActivationProbes:
    """The probes of all of a sample's concepts. They depend on no SAE: make them once, use them for many."""

    probes: tuple[ActivationProbe, ...]
    labels: Labels
    document: Int[np.ndarray, " rows"]
    documents: Documents
    settings: ProbeSettings

    @property
    def usable(self) -> tuple[ActivationProbe, ...]:
        """Those of concepts that are measured further."""
        return tuple(probe for probe in self.probes if probe.status == Status.OK)


@checked
def probe_activations(
    rows: Rows, labels: Labels, settings: ProbeSettings | None = None, *, progress: bool = False
) -> ActivationProbes:
    """Fit and score the probes on the labelled rows.

    Memory: the rows fitted on twice (`fit_rows` × d_in numbers), and a score for every labelled row and concept.
    Raises `EvaluationError` when the labels are of more rows than there are, or of one document alone.
    """
    settings = settings or ProbeSettings()
    if labels.n_rows > rows.n_rows:
        raise EvaluationError(f"{labels.n_rows:,} rows are labelled and there are {rows.n_rows:,}: label these rows")
    document = rows.tokens(0, labels.n_rows).document.numpy()
    n_documents = len(np.unique(document))
    if n_documents < 3:
        raise EvaluationError(
            f"the labelled rows are of {n_documents} document{'' if n_documents == 1 else 's'}: probes are fitted on "
            "some, chosen on others and tested on yet others, so three are needed"
        )
    documents = Documents.split(
        document, settings.test_share, settings.validation_share, settings.resamples, settings.seed
    )
    groups: dict[str, list[Concept]] = {}
    for concept in labels.concepts:
        groups.setdefault(concept.within, []).append(concept)
    found: dict[str, ActivationProbe] = {}
    with bar("probe activations", len(labels), shown=progress) as advance:
        for within, concepts in groups.items():
            group = _Group(rows, labels, within, document, documents, settings)
            found |= {probe.concept.name: probe for probe in group.probes(concepts)}
            advance(len(concepts))
    return ActivationProbes(
        probes=tuple(found[concept.name] for concept in labels.concepts),
        labels=labels,
        document=document,
        documents=documents,
        settings=settings,
    )


class _Group:
    """The concepts distinguished within the same rows."""

    def __init__(
        self,
        rows: Rows,
        labels: Labels,
        within: str,
        document: Int[np.ndarray, " rows"],
        documents: Documents,
        settings: ProbeSettings,
    ) -> None:
        self.rows, self.labels, self.within = rows, labels, within
        self.documents, self.settings = documents, settings
        self.row = labels.rows[within]
        self.document = document[self.row]
        self.is_test, self.is_fitted = documents.is_test[self.document], documents.is_fitted[self.document]

    def probes(self, concepts: list[Concept]) -> Iterator[ActivationProbe]:
        """One a concept."""
        positive = np.stack([self.labels.shown_by(concept.name, self.row) for concept in concepts], axis=1)
        enough = np.array([self._enough(own) for own in positive.T])
        fitted = self._fitted(positive[:, enough]) if enough.any() else []
        for concept, own, is_enough in zip(concepts, positive.T, enough, strict=True):
            counted = ActivationProbe(
                concept=concept,
                status=Status.FEW,
                n_tokens=int(own.sum()),
                n_documents=len(set(self.document[own].tolist())),
                n_test=int((own & self.is_test).sum()),
            )
            if not is_enough:
                yield counted
                continue
            probe, scores, null = fitted.pop(0)
            predicted = scores > 0
            score = self._score(predicted, own)
            yield replace(
                counted,
                status=Status.OK if score.f1 > self.settings.least_f1 else Status.WEAK,
                weight=probe.weight[0],
                bias=float(probe.bias[0]),
                score=score,
                null=null,
                hits=self.row[own & predicted & self.is_test],
            )

    def _enough(self, positive: Bool[np.ndarray, " rows"]) -> bool:
        chosen_on = ~self.is_test & ~self.is_fitted
        parts = [positive & self.is_test, positive & self.is_fitted]
        absent = [~positive & self.is_test, ~positive & self.is_fitted]
        return (
            all(part.sum() >= self.settings.min_tokens for part in (*parts, *absent))
            and all(2 * (own & chosen_on).sum() >= self.settings.min_tokens for own in (positive, ~positive))
            and all(len(set(self.document[part].tolist())) >= self.settings.min_documents for part in parts)
        )  # fmt: skip

    def _fitted(
        self, positive: Bool[np.ndarray, "rows concepts"]
    ) -> list[tuple[LinearProbes, Float[np.ndarray, " rows"], Score | None]]:
        """For each concept, its probe, every row's score, and the score of labels shifted."""
        n, labels = positive.shape[1], positive
        if self.settings.null:
            order = shift_within(self.document, seed=self.settings.seed, name=self.within)
            labels = np.concatenate([positive, positive[order]], axis=1)
        train = np.flatnonzero(self.is_fitted)
        drawn, weight = _draw(labels[train], self.settings.fit_rows)
        fit = fit_logistic(
            self._read(self.row[train[drawn]]),
            torch.from_numpy(labels[train[drawn]]),
            l2=self.settings.l2,
            row_weight=torch.from_numpy(weight).float(),
        )
        scores = np.concatenate([fit.scores(self._read(part)).numpy() for part in _blocks(self.row)])
        for c in range(labels.shape[1]):
            threshold = best_threshold(scores[train, c], labels[train, c])
            scores[:, c] -= threshold
            fit.bias[c] -= threshold
        nulls = [self._score(scores[:, n + c] > 0, labels[:, n + c]) for c in range(n)] if self.settings.null else []
        return [
            (
                LinearProbes(weight=fit.weight[c : c + 1], bias=fit.bias[c : c + 1]),
                scores[:, c],
                nulls[c] if nulls else None,
            )
            for c in range(n)
        ]

    def _score(self, predicted: Bool[np.ndarray, " rows"], positive: Bool[np.ndarray, " rows"]) -> Score:
        test = self.is_test
        return self.documents.score(predicted[test], positive[test], self.document[test])

    def _read(self, row: Int[np.ndarray, " n"]) -> Float[Tensor, "n d_in"]:
        parts = []
        for start in range(int(row[0]), int(row[-1]) + 1, READ_ROWS):
            own = row[slice(*np.searchsorted(row, [start, start + READ_ROWS]))]
            if len(own):
                stop = int(own[-1]) + 1
                parts.append(self.rows.rows(start, stop)[torch.from_numpy(own - start)].float())
        return torch.cat(parts)


def _blocks(row: Int[np.ndarray, " n"]) -> list[Int[np.ndarray, " m"]]:
    return [row[start : start + READ_ROWS] for start in range(0, len(row), READ_ROWS)]


def _draw(
    positive: Bool[np.ndarray, "rows concepts"], most: int
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """About `most` rows, ascending, and how many each stands for: all that show a rare concept, others evenly."""
    if len(positive) <= most:
        return np.arange(len(positive)), np.ones(len(positive))
    rare = positive.sum(axis=0) <= most / (2 * positive.shape[1])
    kept = positive[:, rare].any(axis=1)
    others = np.flatnonzero(~kept)
    n = min(len(others), most - int(kept.sum()))
    others = others[(2 * np.arange(n) + 1) * len(others) // (2 * n)]
    weight = np.ones(len(positive))
    weight[others] = (len(positive) - kept.sum()) / n
    drawn = np.sort(np.concatenate([np.flatnonzero(kept), others]))
    return drawn, weight[drawn]
