"""From spans of texts to labels of rows: the concepts msae finds in a sample by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from jaxtyping import Bool

from msae.analysis.concepts.labels.first_letters import PYTHON_WORDS, WORDS, python_word_spans, word_spans
from msae.analysis.concepts.labels.labelled_rows import Concept, Labels
from msae.analysis.concepts.labels.python_concepts import PYTHON, PYTHON_CONCEPTS, python_spans, unknown_python
from msae.analysis.concepts.labels.spans import Span, Spans, cut_at, tokens_in
from msae.analysis.concepts.labels.texts import Piece, pieces
from msae.analysis.sample import Rows, TokenText
from msae.core.checked import checked

TRIED, IS_PYTHON = 20, 0.5


@checked
def label_text(rows: Rows, n_rows: int, text: TokenText) -> Labels:
    """The concepts of the first `n_rows` rows' text: `PYTHON_CONCEPTS` and the first letters of Python's words where
    it is Python (more than half of the first 20 pieces parses), first letters of words elsewhere.

    A concept ends where a context of the model begins: of what goes on from the context before, such as a docstring or
    a class, the model had not read the beginning. Rows there neither show the concept nor are counted as lacking it.
    """
    texts = pieces(rows, n_rows, text)
    tried = [(piece, python_spans(piece.text)) for piece in islice(texts, TRIED)]
    if _is_python(tried):
        read = ((piece, _with_words(piece, python)) for piece, python in _and_the_rest(tried, texts))
        return label_spans(read, n_rows, (*PYTHON_CONCEPTS, *PYTHON_WORDS))
    every = (*(piece for piece, _ in tried), *texts)
    return label_spans(((piece, word_spans(piece.text)) for piece in every), n_rows, WORDS)


def label_spans(texts: Iterable[tuple[Piece, Spans]], n_rows: int, concepts: Sequence[Concept]) -> Labels:
    """Labels of the rows whose tokens hold a byte of a span of a concept. Memory: a byte for each row and concept."""
    within = {concept.name: concept.within for concept in concepts}
    sets = set(within.values())
    shown = {name: np.zeros(n_rows, dtype=bool) for name in sets | set(within)}
    unread = {name: np.zeros(n_rows, dtype=bool) for name in sets}
    documents, labelled = set(), set()
    for piece, spans in texts:
        documents.add(piece.document)

        def rows_in(places: list[Span], piece: Piece = piece) -> np.ndarray:
            return piece.rows_of(tokens_in(places, piece.bounds))

        for name, places in spans.by_name.items():
            if name in sets:
                shown[name][rows_in(places)] = True
            elif name in within:
                until, behind = cut_at(places, piece.starts)
                shown[name][rows_in(until)] = True
                unread[within[name]][rows_in(behind)] = True
                labelled.add(piece.document)
        for name, places in unknown_python(piece.text, piece.starts).by_name.items():
            if name in sets:
                unread[name][rows_in(places)] = True
    for name in sets:
        shown[name] &= ~unread[name]
    left_out = int(sum(unread.values(), np.zeros(n_rows, bool)).astype(bool).sum())
    families = ", ".join(dict.fromkeys(concept.family for concept in concepts))
    notes = [f"{len(labelled):,} of {len(documents):,} documents are labelled ({families})."]
    if left_out:
        notes.append(
            f"{left_out:,} rows are left out: a concept goes on there from a context that the model no longer saw."
        )
    return nested(concepts, shown, *notes)


def nested(concepts: Sequence[Concept], shown: Mapping[str, Bool[np.ndarray, " rows"]], *notes: str) -> Labels:
    """Labels in which a concept holds only where its parent does, and only among the rows it is distinguished within.

    `shown`: of each concept and each `within`, whether a row shows it.
    """
    by_name = {concept.name: concept for concept in concepts}

    def confirmed(concept: Concept) -> np.ndarray:
        own = shown[concept.name] & shown[concept.within]
        return own & confirmed(by_name[concept.parent]) if concept.parent in by_name else own

    rows = {name: np.flatnonzero(own) for name, own in shown.items()}
    rows |= {concept.name: np.flatnonzero(confirmed(concept)) for concept in concepts}
    n_rows = len(next(iter(shown.values())))
    return Labels(concepts=tuple(concepts), rows=rows, n_rows=n_rows, notes=notes)


def _is_python(tried: Sequence[tuple[Piece, Spans]]) -> bool:
    parsed = sum(stop - start for _, spans in tried for start, stop in spans.by_name.get(PYTHON, []))
    return parsed > IS_PYTHON * sum(int(piece.bounds[-1]) for piece, _ in tried)


def _and_the_rest(tried: Iterable[tuple[Piece, Spans]], rest: Iterable[Piece]) -> Iterator[tuple[Piece, Spans]]:
    yield from tried
    for piece in rest:
        yield piece, python_spans(piece.text)


def _with_words(piece: Piece, python: Spans) -> Spans:
    return Spans({**python.by_name, **python_word_spans(piece.text, python).by_name})
