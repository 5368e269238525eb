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
    batches = list(source.contexts(string_documents([text])))
    if not batches:
        raise EvaluationError(f"the text {text!r} has no token: type some")
    last = batches[-1].select(torch.tensor([len(batches[-1]) - 1]))
    return columns(last, last.attention[0].nonzero()[:, 0])


def columns(batch: ContextBatch, at: Int[Tensor, " columns"]) -> ContextBatch:
    """The positions `at` of every context."""
    return ContextBatch(
        token_ids=batch.token_ids[:, at],
        document=batch.document[:, at],
        offset=batch.offset[:, at],
        attention=batch.attention[:, at],
    )
