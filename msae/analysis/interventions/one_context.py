"""One text as one context: as a source lays it out, without padding."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from msae.activations.source import ActivationSource, ContextBatch
from msae.core.errors import EvaluationError
from msae.data.documents import string_documents


def last_context(source: ActivationSource, text: str) -> ContextBatch:
    """The last context of the text, alone: all of it, where it fits. Raises `EvaluationError` for no token at all."""
    return _contexts(source, text)[-1]


def whole_context(source: ActivationSource, text: str) -> ContextBatch:
    """All of the text in one context. Raises `EvaluationError` for no token at all, or more than fit."""
    contexts = _contexts(source, text)
    if len(contexts) > 1:
        size = next(iter(source.specs.values())).context_size
        raise EvaluationError(f"a context of {size} tokens has no room for {text!r}")
    return contexts[0]


def _contexts(source: ActivationSource, text: str) -> list[ContextBatch]:
    batches = list(source.contexts(string_documents([text])))
    if not batches:
        raise EvaluationError(f"the text {text!r} has no token: type some")
    rows = [batch.select(torch.tensor([i])) for batch in batches for i in range(len(batch))]
    return [columns(row, row.attention[0].nonzero()[:, 0]) for row in rows]


def columns(batch: ContextBatch, at: Int[Tensor, " columns"]) -> ContextBatch:
    """The positions `at` of every context."""
    return ContextBatch(
        token_ids=batch.token_ids[:, at],
        document=batch.document[:, at],
        offset=batch.offset[:, at],
        attention=batch.attention[:, at],
    )
