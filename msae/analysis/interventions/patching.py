"""Functions to put in place of a hook's activations, and to record them; batches cut to what logits fit in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from msae.activations.source import ContextBatch, PatchableSource, Replacement


def put_rows(rows: Float[Tensor, "rows d_in"]) -> Replacement:
    """A replacement that puts `rows`, in reading order, where rows are kept."""

    def replacement(
        activations: Float[Tensor, "batch context d_in"], keep: Bool[Tensor, "batch context"]
    ) -> Float[Tensor, "batch context d_in"]:
        return activations.index_put((keep,), rows.to(activations))

    return replacement


def put_row(row: Float[Tensor, " d_in"]) -> Replacement:
    """A replacement that puts the same `row` wherever rows are kept."""

    def replacement(
        activations: Float[Tensor, "batch context d_in"], keep: Bool[Tensor, "batch context"]
    ) -> Float[Tensor, "batch context d_in"]:
        return torch.where(keep[..., None], row.to(activations), activations)

    return replacement


def recorded(
    source: PatchableSource, batch: ContextBatch, hook_names: Iterable[str]
) -> tuple[Float[Tensor, "batch context vocab"], dict[str, Float[Tensor, "batch context d_in"]]]:
    """The logits and the activations at the named hooks, from one pass."""
    seen: dict[str, Tensor] = {}

    def recorder(name: str) -> Replacement:
        def record(activations: Tensor, keep: Tensor) -> Tensor:
            seen[name] = activations
            return activations

        return record

    logits = source.logits(batch, {name: recorder(name) for name in hook_names})
    return logits, seen


def in_turn(first: Replacement, second: Replacement | None) -> Replacement:
    """A replacement that puts the activations through `first`, then through `second`."""
    if second is None:
        return first

    def replacement(
        activations: Float[Tensor, "batch context d_in"], keep: Bool[Tensor, "batch context"]
    ) -> Float[Tensor, "batch context d_in"]:
        return second(first(activations, keep), keep)

    return replacement


def vocabulary(source: PatchableSource, batch: ContextBatch) -> int:
    """How many logits the model gives at a position."""
    return source.logits(batch.select(torch.tensor([0]))).shape[-1]


def small_parts(batch: ContextBatch, n_vocab: int, max_logits: int) -> Iterator[ContextBatch]:
    """The batch in parts whose logits have at most `max_logits` numbers (or one context's)."""
    size = max(1, max_logits // (batch.token_ids.shape[1] * n_vocab))
    return (batch.select(part) for part in torch.arange(len(batch)).split(size))
