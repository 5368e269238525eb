"""Items to index, or to look for: documents put through a model, the rows of a store or of an array. Those that are
indexed already are passed over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from msae.activations.pooled import PooledSource
from msae.activations.store import ActivationStore
from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import CorpusError
from msae.core.numerics import RowArray, as_rows
from msae.data.documents import Document, string_documents
from msae.nested.index_parts import Blocks, Named
from msae.nested.rows import BLOCK_ROWS

SHOWN_CHARACTERS = 160

Rest = Callable[[list[Named]], Blocks]
"""What `Index.build` takes: given the items indexed already, those that follow."""


@checked
def indexed_documents(source: PooledSource, documents: Iterable[Document]) -> Rest:
    """A row a document, named by it. Raises what `PooledSource.contexts` does."""

    def rest(done: list[Named]) -> Blocks:
        left = iter(documents)
        _require_same(done, (as_item(document) for document in left))
        read: list[Named] = []
        for batch in source.contexts(_noted(left, read)):
            yield [read[number] for number in batch.document.amax(1).tolist()], source.rows(batch).float().cpu()

    return rest


@checked
def indexed_store(store: ActivationStore) -> Rest:
    """A store's rows, named by their documents; the texts are not in a store."""

    def rest(done: list[Named]) -> Blocks:
        names = store.document_names()
        _require_same(done, ((names[number], "") for number in _documents_of(store, 0, len(done))))
        for start in range(len(done), store.n_rows, BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, store.n_rows)
            yield [(names[number], "") for number in _documents_of(store, start, stop)], store.rows(start, stop)

    return rest


@checked
def indexed_rows(rows: RowArray, named: Sequence[Named]) -> Rest:
    """Rows of an array, and the name and text of each; `ConfigError` unless these are as many."""
    array = as_rows(rows, what="the array of items")
    require(len(array) == len(named), "named", len(named), f"{len(array)}, one a row")

    def rest(done: list[Named]) -> Blocks:
        _require_same(done, iter(named))
        for start in range(len(done), len(array), BLOCK_ROWS):
            yield list(named[start : start + BLOCK_ROWS]), array[start : start + BLOCK_ROWS].float()

    return rest


@checked
def text_rows(source: PooledSource, texts: Sequence[str]) -> Float[Tensor, "texts d_in"]:
    """The rows of texts to look for, in order. Raises what `PooledSource.contexts` does."""
    batches = source.contexts(string_documents(texts, name="the text"))
    return torch.cat([source.rows(batch).float().cpu() for batch in batches])


def as_item(document: Document) -> Named:
    """A document's name and the beginning of its text, in one line."""
    return document.name, " ".join(document.text.split())[:SHOWN_CHARACTERS]


def _noted(documents: Iterable[Document], read: list[Named]) -> Iterator[Document]:
    for document in documents:
        read.append(as_item(document))
        yield document


def _documents_of(store: ActivationStore, start: int, stop: int) -> list[int]:
    return store.tokens(start, stop).document.tolist()


def _require_same(done: Sequence[Named], given: Iterator[Named]) -> None:
    """Raise `CorpusError` unless the items given begin with those that are indexed already."""
    for there in done:
        item = next(given, None)
        if item != there:
            instead = "nothing" if item is None else repr(item[0])
            raise CorpusError(
                f"the index under way was begun with other items ({there[0]!r} is there, {instead} was given in its "
                "place): give the same, in the same order"
            )
