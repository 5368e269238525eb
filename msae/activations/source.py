"""What a source of activations is: contexts of tokens in, activations out, with the origin of every row kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.core.spec import SourceSpec
from msae.data.contexts import NOWHERE, PackedContexts
from msae.data.documents import Document

Replacement = Callable[
    [Float[Tensor, "batch context d_in"], Bool[Tensor, "batch context"]], Float[Tensor, "batch context d_in"]
]


@dataclass(frozen=True, kw_only=True)
class ContextBatch:
    """A batch of packed contexts, each position traced to its document.

    `document[b, c]` counts documents from 0 in the order read; `offset[b, c]` counts tokens from the document's start.
    Both are −1 at special tokens (BOS, [CLS], [SEP], padding), whose rows are left out everywhere.
    `attention` is False at padding only.
    """

    token_ids: Int[Tensor, "batch context"]
    document: Int[Tensor, "batch context"]
    offset: Int[Tensor, "batch context"]
    attention: Bool[Tensor, "batch context"]

    @classmethod
    def from_packed(cls, contexts: PackedContexts) -> ContextBatch:
        """The same contexts as tensors."""
        return cls(
            token_ids=torch.from_numpy(contexts.token_ids),
            document=torch.from_numpy(contexts.document),
            offset=torch.from_numpy(contexts.offset),
            attention=torch.from_numpy(contexts.attention),
        )

    @property
    def keep(self) -> Bool[Tensor, "batch context"]:
        """True at the positions whose rows are kept: those that belong to a document."""
        return self.document >= 0

    @property
    def position(self) -> Int[Tensor, "batch context"]:
        """How many tokens of its context come before each position, special tokens included."""
        return torch.arange(self.token_ids.shape[1]).expand(self.token_ids.shape)

    def __len__(self) -> int:
        return self.token_ids.shape[0]

    def without(self, kept: Int[Tensor, " rows"]) -> ContextBatch:
        """The same contexts with some kept positions, numbered in reading order, marked as special tokens are."""
        places = self.keep.flatten().nonzero()[:, 0]
        marked = places[kept[(kept >= 0) & (kept < len(places))]]
        document, offset = (column.flatten().clone() for column in (self.document, self.offset))
        document[marked] = offset[marked] = NOWHERE
        return replace(self, document=document.view_as(self.document), offset=offset.view_as(self.offset))

    def select(self, rows: Int[Tensor, " rows"]) -> ContextBatch:
        """The batch of the contexts at `rows`."""
        return ContextBatch(
            token_ids=self.token_ids[rows],
            document=self.document[rows],
            offset=self.offset[rows],
            attention=self.attention[rows],
        )


@runtime_checkable
class ActivationSource(Protocol):
    """Anything that turns documents into activations: a language model's hooks, an `nn.Module`, an array."""

    @property
    def specs(self) -> Mapping[str, SourceSpec]:
        """One `SourceSpec` per hook, keyed by the resolved hook name."""
        ...

    def contexts(self, documents: Iterable[Document]) -> Iterator[ContextBatch]:
        """Batches of contexts, always the same for the same documents: a killed harvest resumes by skipping them."""
        ...

    def activations(self, batch: ContextBatch) -> dict[str, Float[Tensor, "batch context d_in"]]:
        """Every hook's activations from one pass, in the source's dtype, on its device, with no gradient."""
        ...


@runtime_checkable
class PatchableSource(ActivationSource, Protocol):
    """A source whose model continues from the hook to logits: what evaluation and steering need."""

    @property
    def has_language_head(self) -> bool:
        """Whether the logits mean something: a causal model whose head is in the checkpoint."""
        ...

    def logits(
        self, batch: ContextBatch, replace: Mapping[str, Replacement] | None = None
    ) -> Float[Tensor, "batch context vocab"]:
        """The model's logits, with the activations at each hook of `replace` put through its function.

        The function gets the activations and `batch.keep`. Special positions keep the activations they had, whatever
        it returns for them. Gradients flow when the caller has them enabled and what replaces requires them.
        """
        ...


def rows_kept(batch: ContextBatch, activations: Float[Tensor, "batch context d_in"]) -> Float[Tensor, "rows d_in"]:
    """The rows of the positions that belong to a document, in reading order."""
    return activations[batch.keep.to(activations.device)]


__all__ = ["ActivationSource", "ContextBatch", "PatchableSource", "Replacement", "rows_kept"]
