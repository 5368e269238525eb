"""Functions to put in place of a hook's activations, and to record them."""

from __future__ import annotations

from collections.abc import Iterable

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
