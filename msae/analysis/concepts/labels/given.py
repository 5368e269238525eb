"""Labels that a user brings: a table of places and what is there.

| column | |
|---|---|
| ``document`` | its name in the store, or its number there (from 0) |
| ``offset`` | the token, counted from 0 in its document; or instead |
| ``start``, ``end`` | characters of the document, `end` not included: every token that holds one of them is labelled |
| ``label`` | the concept |
| ``parent`` | optional: a concept that holds wherever this one does; it need have no rows of its own |
| ``within`` | optional: another label; this one is told apart among its tokens alone, not among all |

Characters are counted in the text that the tokenizer reads, which is the document's own unless a note says otherwise.
Before a text that does not begin with a blank some tokenizers put one (`TokenText.opening`), and then the first
character of a document that does begin with one cannot be told from it: there, characters count from the second.

A token without a label of a document that has any shows no concept; documents without any are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from msae.analysis.concepts.labels.labelled_rows import Concept, Labels
from msae.analysis.concepts.labels.spans import Span, tokens_in
from msae.analysis.concepts.labels.texts import pieces
from msae.analysis.sample import Rows, TokenText
from msae.analysis.tables import read_table
from msae.core.config import nearest
from msae.core.errors import EvaluationError

FAMILY, LABELLED = "labels given", "documents with labels given"


def read_labels(path: Path | str, rows: Rows, n_rows: int, text: TokenText | None = None) -> Labels:
    """The labels of the first `n_rows` rows in the Parquet file at `path`; see `given_labels`."""
    return given_labels(read_table(Path(path)), rows, n_rows, text, what=str(path))


def given_labels(
    table: pa.Table, rows: Rows, n_rows: int, text: TokenText | None = None, *, what: str = "the table of labels"
) -> Labels:
    """The labels of the first `n_rows` rows in a table. `text`: of the tokens, needed where places are in characters.

    Raises `EvaluationError` when a column is missing or two do not go together, when no document of the table is among
    the sample's, when no token of these is labelled, and for characters of a tokenizer that does not keep them.
    """
    columns = _columns(table, what)
    document, kept = _documents(columns["document"], rows.document_names(), what)
    if not kept.any():
        raise EvaluationError(
            f"{what} labels no document of this store: it names {columns['document'][0]!r}, the store "
            f"{rows.document_names()[0]!r}, for example. Use the names or numbers of `store.document_names()`"
        )
    own = rows.tokens(0, n_rows)
    places = {
        name: [value for value, keep in zip(values, kept, strict=True) if keep] for name, values in columns.items()
    }
    document = document[kept]
    if "offset" in places:
        offset = np.array(places["offset"], dtype=np.int64)
        at = _rows_at(document, offset, own.document.numpy(), own.offset.numpy())
        which = np.arange(len(at))
    else:
        at, which = _rows_of_characters(document, places["start"], places["end"], rows, n_rows, text, what)
    found = at >= 0
    if not found.any():
        raise EvaluationError(f"{what} labels no token of the first {n_rows:,} rows of this store")
    label = np.array(places["label"], dtype=object)[which]
    shown = {name: np.unique(at[found & (label == name)]) for name in dict.fromkeys(places["label"])}
    missed = len(kept) - len(np.unique(which[found]))
    notes = [f"{len(set(document.tolist())):,} documents have labels given in {what}."]
    if "offset" not in places and text is not None and text.form:
        notes.append(f"Characters are counted in the {text.form} form of the documents, which this tokenizer reads.")
    notes += [f"{missed:,} of its {len(kept):,} rows name no token of the sample."] if missed else []
    everything = np.flatnonzero(np.isin(own.document.numpy(), np.unique(document)))
    return _labels(places, shown, everything, n_rows, tuple(notes))


def _labels(
    places: Mapping[str, list],
    shown: dict[str, np.ndarray],
    everything: np.ndarray,
    n_rows: int,
    notes: tuple[str, ...],
) -> Labels:
    parent, within = (_one_each(places["label"], places.get(name), name) for name in ("parent", "within"))
    for named in filter(None, parent.values()):
        shown.setdefault(named, np.empty(0, dtype=np.int64))
    for name in list(shown):
        _require_no_circle(name, parent)
    for name in sorted(shown, key=lambda name: -_depth(name, parent)):  # the deepest first
        if (above := parent.get(name)) is not None:
            shown[above] = np.union1d(shown[above], shown[name])
    concepts = []
    for name in shown:
        place = within.get(name) or LABELLED
        if place != LABELLED and place not in shown:
            raise EvaluationError(f"{name!r} is to be distinguished within {place!r}, which labels nothing")
        concepts.append(Concept(name=name, family=FAMILY, within=place, parent=parent.get(name)))
    rows = {concept.name: shown[concept.name] for concept in concepts} | {LABELLED: everything}
    kept = {c.name: np.intersect1d(rows[c.name], rows[c.within], assume_unique=True) for c in concepts}
    return Labels(concepts=tuple(concepts), rows=rows | kept, n_rows=n_rows, notes=notes)


def _columns(table: pa.Table, what: str) -> dict[str, list]:
    names = set(table.column_names)
    for needed in ("document", "label"):
        if needed not in names:
            raise EvaluationError(f"{what} has no column {needed!r}{nearest(needed, names)}: it has {sorted(names)}")
    characters = {"start", "end"} <= names
    if ("offset" in names) == characters:
        raise EvaluationError(f"{what} needs a column 'offset' (tokens), or 'start' and 'end' (characters), not both")
    wanted = ["document", "label", *(["start", "end"] if characters else ["offset"])]
    columns = {name: table.column(name).to_pylist() for name in wanted}
    for name, values in columns.items():
        if None in values:
            raise EvaluationError(f"row {values.index(None)} of {what} has no {name!r}")
    if table.num_rows == 0:
        raise EvaluationError(f"{what} has no row")
    optional = [name for name in ("parent", "within") if name in names]
    return columns | {name: table.column(name).to_pylist() for name in optional}


def _documents(given: list, names: list[str], what: str) -> tuple[Int[np.ndarray, " n"], np.ndarray]:
    """The number of each row's document, and whether the store has it."""
    if all(isinstance(value, int) for value in given):
        number = np.array(given, dtype=np.int64)
        return number, (number >= 0) & (number < len(names))
    place = {name: i for i, name in enumerate(names)}
    if len(place) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise EvaluationError(f"the store has several documents {twice!r}: name documents by their number in {what}")
    number = np.array([place.get(value, -1) for value in given], dtype=np.int64)
    return number, number >= 0


def _rows_at(
    document: np.ndarray, offset: np.ndarray, own_document: np.ndarray, own_offset: np.ndarray
) -> Int[np.ndarray, " n"]:
    """The row of each (document, offset), −1 where there is none."""
    if (offset < 0).any():
        raise EvaluationError(f"offset {int(offset.min())}: tokens are counted from 0")
    step = int(max(offset.max(), own_offset.max())) + 1
    own, wanted = own_document.astype(np.int64) * step + own_offset, document * step + offset
    order = np.argsort(own, kind="stable")
    place = np.minimum(np.searchsorted(own[order], wanted), len(own) - 1)
    return np.where(own[order][place] == wanted, order[place], -1)


def _rows_of_characters(
    document: np.ndarray,
    start: list[int],
    end: list[int],
    rows: Rows,
    n_rows: int,
    text: TokenText | None,
    what: str,
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """A row and the number of the span it belongs to, for every labelled token; −1 and the number where none is."""
    if text is None:
        raise EvaluationError(f"{what} counts characters, and there is no tokenizer here: give token offsets instead")
    if text.opening is None:
        raise EvaluationError(
            f"{what} counts characters, and this tokenizer does not keep them (case, blanks, or characters it does not "
            "know): give token offsets"
        )
    wrong = next((i for i, (a, b) in enumerate(zip(start, end, strict=True)) if not 0 <= a < b), None)
    if wrong is not None:
        raise EvaluationError(f"{what}: [{start[wrong]}, {end[wrong]}) is no span of characters")
    spans_of: dict[int, list[int]] = {}
    for i, number in enumerate(document.tolist()):
        spans_of.setdefault(number, []).append(i)
    at, which = [np.full(len(start), -1)], [np.arange(len(start))]
    for piece in pieces(rows, n_rows, text):
        if piece.offset != 0:  # where a document's text goes on behind a gap, its characters cannot be counted
            continue
        for i in spans_of.get(piece.document, []):
            span = _bytes_of(piece.text, start[i] + len(text.opening), end[i] + len(text.opening))
            own = piece.rows_of(tokens_in([span], piece.bounds))
            at.append(own)
            which.append(np.full(len(own), i))
    return np.concatenate(at), np.concatenate(which)


def _bytes_of(text: str, start: int, end: int) -> Span:
    first = len(text[:start].encode())
    return first, first + len(text[start:end].encode())


def _one_each(label: list[str], values: list[str | None] | None, column: str) -> dict[str, str | None]:
    """The value of each label, which must be the same on all of its rows that have one."""
    out: dict[str, str | None] = {}
    for name, value in zip(label, values or [None] * len(label), strict=True):
        if value is not None and out.get(name, value) not in (None, value):
            raise EvaluationError(f"the label {name!r} has more than one {column!r}: {out[name]!r} and {value!r}")
        out[name] = value if value is not None else out.get(name)
    return out


def _require_no_circle(name: str, parent: Mapping[str, str | None]) -> None:
    seen, above = {name}, parent.get(name)
    while above is not None:
        if above in seen:
            raise EvaluationError(f"{name!r} is above itself: its parents lead back to {above!r}")
        seen.add(above)
        above = parent.get(above)


def _depth(name: str, parent: Mapping[str, str | None]) -> int:
    above = parent.get(name)
    return 0 if above is None else 1 + _depth(above, parent)
