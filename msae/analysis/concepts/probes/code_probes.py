"""k-sparse probes on an SAE's codes, at every level: how few latents tell a concept, and which.

At each level, over the latents of its prefix alone: an L1 probe on the codes orders the latents by weight, largest
positive first (Gurnee et al. 2023, arXiv:2305.01610, as SAEBench and Chanin et al. 2024 use it), and a probe is fitted
on the first k. The *main latents* of a concept are those of the last k whose F1 gained more than `gain` on k − 1: one
where the level has a latent for the concept, several where it is split. Their number, and the best k, are chosen on
validation documents: neither those fitted on, where more is always better, nor those that figures are given for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from msae.analysis.concepts.labels.labelled_rows import Concept
from msae.analysis.concepts.probes.activation_probes import ActivationProbe, ActivationProbes
from msae.analysis.concepts.probes.probe_scores import Score, f1_of
from msae.analysis.concepts.probes.shifted_labels import shift_within
from msae.analysis.concepts.probes.sparse_logistic import SparseProbe, fit_sparse, l1_weights
from msae.analysis.sample import CodeTable
from msae.analysis.sample.code_table import evenly
from msae.analysis.tables import Status
from msae.core.errors import EvaluationError
from msae.core.progress import bar


@dataclass(frozen=True, kw_only=True)
class ScoredProbe:
    """A sparse probe (its weights are for codes as they are), its score on test documents, that of shifted labels
    probed in the same way, and its F1 on validation documents, by which one is chosen."""

    probe: SparseProbe
    score: Score
    validation_f1: float
    null: Score | None


@dataclass(frozen=True, kw_only=True)
class LevelProbes:
    """A concept at one level. `by_k`: the sparse probes; none where nothing of the prefix fires. `main`: its main
    latents, `main_f1`: the F1 of the sparse probe on them."""

    concept: Concept
    level: int
    status: str
    by_k: dict[int, ScoredProbe]
    main: Int[np.ndarray, " m"]
    main_f1: float | None = None

    @property
    def best(self) -> ScoredProbe | None:
        """The probe with the largest F1 on validation documents; of equals the smallest."""
        return max(self.by_k.values(), key=lambda probe: probe.validation_f1, default=None)


def probe_codes(
    codes: CodeTable, widths: tuple[int, ...], probes: ActivationProbes, *, progress: bool = False
) -> tuple[LevelProbes, ...]:
    """Of every usable concept and every level, in that order. `widths`: of the levels' prefixes.

    Memory: 12 bytes a code of the labelled rows. Raises `EvaluationError` when more rows are labelled than encoded.
    """
    n_rows = probes.labels.n_rows
    if n_rows > codes.n_rows:
        raise EvaluationError(f"{n_rows:,} rows are labelled and {codes.n_rows:,} encoded: label the rows encoded")
    table = _matrix(codes, n_rows)
    found: dict[str, list[LevelProbes]] = {}
    with bar("probe codes", len(probes.usable) * len(widths), shown=progress) as advance:
        for within in dict.fromkeys(probe.concept.within for probe in probes.usable):
            group = _Group(table, within, probes)
            for probe in probes.usable:
                if probe.concept.within == within:
                    found[probe.concept.name] = list(group.levels(probe, widths))
                    advance(len(widths))
    return tuple(level for probe in probes.usable for level in found[probe.concept.name])


def grow(f1: Iterator[float], gain: float) -> int:
    """How many latents are main: k grows from 1 as long as the F1 with k exceeds the last by more than `gain`."""
    best, k = -np.inf, 0
    for value in f1:
        if value <= best + gain:
            break
        best, k = value, k + 1
    return k


class _Group:
    """The codes of the rows that some concepts are distinguished within."""

    def __init__(self, table: sp.csr_matrix, within: str, probes: ActivationProbes) -> None:
        self.probes, self.settings = probes, probes.settings
        self.row = probes.labels.rows[within]
        self.document = probes.document[self.row]
        documents = probes.documents
        self.train, self.validation, self.test = (
            np.flatnonzero(which[self.document])
            for which in (documents.is_fitted, documents.is_validation, documents.is_test)
        )
        self.order = shift_within(self.document, seed=self.settings.seed, name=within)
        own = table[self.row]
        self.train_codes, self.validation_codes, self.test_codes = (
            own[rows].tocsc() for rows in (self.train, self.validation, self.test)
        )
        fires = np.diff(self.train_codes.indptr)
        sums = np.asarray(self.train_codes.sum(axis=0)).ravel()
        self.typical = np.where(fires > 0, sums / np.maximum(fires, 1), 1.0)
        self.train_codes.data /= np.repeat(self.typical, fires)
        self.train_rows = self.train_codes.tocsr()

    def levels(self, probe: ActivationProbe, widths: tuple[int, ...]) -> Iterator[LevelProbes]:
        """Of one concept."""
        positive = self.probes.labels.shown_by(probe.concept.name, self.row)
        for level, width in enumerate(widths):
            if self.train_codes.indptr[width] == 0:
                none = np.empty(0, dtype=np.int64)
                yield LevelProbes(concept=probe.concept, level=level, status=Status.NEVER, by_k={}, main=none)
                continue
            real = _Ladder(self, positive, width)
            null = _Ladder(self, positive[self.order], width) if self.settings.null else None
            n_main = grow((real.validation_f1(k) for k in range(1, real.most + 1)), self.settings.gain)
            by_k = {}
            for k in self.settings.ks:
                if k <= len(real.latents):
                    fitted, score = real.at(k)
                    by_k[k] = ScoredProbe(
                        probe=self.raw(fitted),
                        score=score,
                        null=null.at(k)[1] if null else None,
                        validation_f1=real.validation_f1(k),
                    )
            yield LevelProbes(
                concept=probe.concept,
                level=level,
                status=Status.OK,
                by_k=by_k,
                main=real.latents[:n_main].copy(),
                main_f1=real.at(n_main)[1].f1,
            )

    def raw(self, probe: SparseProbe) -> SparseProbe:
        """The probe for codes as they are, not divided by what is typical."""
        return SparseProbe(latents=probe.latents, weight=probe.weight / self.typical[probe.latents], bias=probe.bias)


class _Ladder:
    """The sparse probes of one labelling at one level, each made when it is first used."""

    def __init__(self, group: _Group, positive: Bool[np.ndarray, " rows"], width: int) -> None:
        self.group, self.positive = group, positive
        self.codes = group.train_codes[:, :width]
        self.latents = self._ordered()
        self.most = min(group.settings.most_latents, len(self.latents))
        self._made: dict[int, tuple[SparseProbe, Score]] = {}

    def at(self, k: int) -> tuple[SparseProbe, Score]:
        """The probe on the first k latents, and its score on the test documents."""
        if k not in self._made:
            group = self.group
            probe = fit_sparse(self.codes, self.positive[group.train], self.latents[:k])
            scores = group.raw(probe).scores(group.test_codes)
            score = group.probes.documents.score(scores > 0, self.positive[group.test], group.document[group.test])
            self._made[k] = probe, score
        return self._made[k]

    def validation_f1(self, k: int) -> float:
        """Of the same probe on the validation documents."""
        group = self.group
        scores = group.raw(self.at(k)[0]).scores(group.validation_codes)
        return f1_of(scores > 0, self.positive[group.validation])

    def _ordered(self) -> Int[np.ndarray, " n"]:
        """By weight in the L1 probe; below those with a positive weight, by what they tell alone."""
        settings, positive = self.group.settings, self.positive[self.group.train]
        halves = [evenly(np.flatnonzero(half), settings.l1_rows // 2) for half in (positive, ~positive)]
        drawn = np.sort(np.concatenate(halves))
        codes = self.group.train_rows[drawn].tocsc()[:, : self.codes.shape[1]]
        weight, falls = l1_weights(codes, positive[drawn], settings.l1)
        order = np.lexsort((-falls, -np.maximum(weight, 0)))
        fires = np.diff(self.codes.indptr) > 0
        return order[fires[order]][: max(settings.most_latents, *settings.ks)]


def _matrix(codes: CodeTable, n_rows: int) -> sp.csr_matrix:
    own = codes.codes_of(slice(0, n_rows))
    value: Float[np.ndarray, " codes"] = np.array(codes.value[own], dtype=np.float64)
    start = codes.row_start[: n_rows + 1]
    return sp.csr_matrix((value, np.array(codes.latent[own]), start), shape=(n_rows, codes.d_sae))
