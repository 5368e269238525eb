"""One row a document: a language model's activations pooled, as sentence embeddings are made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Literal, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from msae.activations.source import ContextBatch
from msae.activations.transformer_lens import TransformerLensSource
from msae.core.config import require
from msae.core.errors import CorpusError
from msae.core.spec import SourceSpec
from msae.data.documents import Document, NamesRead

Pooling = Literal["mean", "text", "cls", "last"]
Long = Literal["error", "cut"]
POOLINGS: tuple[Pooling, ...] = ("mean", "text", "cls", "last")


@final
class PooledSource:
    """`source` with its activations pooled to one row a document.

    `pooling`: ``mean`` over all tokens the model attends to, special ones included (what sentence-transformers calls
    mean pooling), ``text`` (the mean over the document's own tokens), ``cls`` (the first position), ``last`` (the last
    attended position). By default ``mean`` for an encoder and ``last`` for a causal model, whose last token alone has
    seen the document. `long`: what becomes of a document that is longer than a context, ``error`` or ``cut``.

    A row's token and offset are those of the document's first token. Rows and documents are in the same order, one to
    one: a document without a token is an error.
    """

    def __init__(self, source: TransformerLensSource, pooling: Pooling | None = None, *, long: Long = "error") -> None:
        self.source, self.long = source, long
        self.pooling = pooling or ("last" if source.is_causal else "mean")
        require(self.pooling in POOLINGS, "pooling", pooling, f"one of {', '.join(POOLINGS)}")
        require(long in ("error", "cut"), "long", long, "'error' or 'cut'")
        self._specs = {name: replace(spec, kind="pooled", pooling=self.pooling) for name, spec in source.specs.items()}

    @property
    def specs(self) -> Mapping[str, SourceSpec]:
        """One `SourceSpec` per hook, of the kind ``pooled``."""
        return self._specs

    def contexts(self, documents: Iterable[Document]) -> Iterator[ContextBatch]:
        """Batches of one document a context; only its first token is marked as a row.

        Raises `CorpusError` for a document without a token, and (`long` is ``error``) one longer than a context.
        """
        read, last = NamesRead(documents), -1
        for batch in self.source.contexts_apart(read):
            number = batch.document.amax(1)
            batch, number = batch.select((number >= 0).nonzero()[:, 0]), number[number >= 0]
            first = torch.cat([torch.tensor([last]), number[:-1]]) != number
            if self.long == "error" and not bool(first.all()):
                raise self._too_long(read.names[int(number[~first][0])])
            batch, number = batch.select(first.nonzero()[:, 0]), number[first]
            for found in number.tolist():
                _require_tokens(read.names, last + 1, found)
                last = found
            if len(batch):
                yield self._one_row_each(batch)
        _require_tokens(read.names, last + 1, len(read.names))

    def activations(self, batch: ContextBatch) -> dict[str, Float[Tensor, "batch context d_in"]]:
        """Every hook's pooled row, at the position that is marked as a row; zeros elsewhere."""
        found = self.source.activations(batch)
        return {name: self._placed(batch, tensor) for name, tensor in found.items()}

    def rows(self, batch: ContextBatch) -> Float[Tensor, "batch d_in"]:
        """The pooled rows of a source with one hook, in order."""
        (tensor,) = self.source.activations(batch).values()
        return self._pooled(batch, tensor)

    def _placed(self, batch: ContextBatch, activations: Tensor) -> Tensor:
        out = torch.zeros_like(activations)
        out[batch.keep.to(out.device)] = self._pooled(batch, activations)
        return out

    def _pooled(self, batch: ContextBatch, activations: Tensor) -> Tensor:
        weights = self._weights(batch).to(activations.device, torch.float32)
        weights = weights / weights.sum(1, keepdim=True)
        return torch.einsum("bc,bcd->bd", weights, activations.float()).to(activations.dtype)

    def _weights(self, batch: ContextBatch) -> Bool[Tensor, "batch context"]:
        """Over which positions the mean is taken."""
        if self.pooling == "mean":
            return batch.attention
        if self.pooling == "text":
            special = torch.tensor(sorted(self.source.special.ids), dtype=torch.long)
            return batch.attention & ~torch.isin(batch.token_ids, special)
        at = batch.attention.sum(1) - 1 if self.pooling == "last" else torch.zeros(len(batch), dtype=torch.long)
        return torch.arange(batch.token_ids.shape[1]) == at[:, None]

    def _one_row_each(self, batch: ContextBatch) -> ContextBatch:
        first = batch.keep.float().argmax(1, keepdim=True)
        row = torch.arange(batch.token_ids.shape[1]) == first
        return ContextBatch(
            token_ids=batch.token_ids,
            document=torch.where(row, batch.document, -1),
            offset=torch.where(row, batch.offset, -1),
            attention=batch.attention,
        )

    def _too_long(self, name: str) -> CorpusError:
        (spec, *_) = self._specs.values()
        return CorpusError(
            f"the document {name!r} is longer than a context of {spec.context_size} tokens, special ones included: "
            "make contexts longer (--context-size), cut documents (--long cut), or split them"
        )


def _require_tokens(names: list[str], start: int, stop: int) -> None:
    """Raise `CorpusError` naming the first of documents [start, stop), which gave no context."""
    if start < stop:
        raise CorpusError(
            f"the document {names[start]!r} (number {start}, counted from 0) has not one token of text: leave it out, "
            "since rows and documents go together one to one"
        )
