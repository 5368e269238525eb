"""Functions attached to TransformerLens hook points for as long as a block runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from msae.activations.source import Replacement
from msae.core.errors import SourceError


class Replaceable:
    """Where activations may be replaced: as given, or at all but special tokens of the tokens last seen to enter."""

    def __init__(self, keep: Tensor | None, special_ids: frozenset[int]) -> None:
        self.keep = keep
        self._special_ids = torch.tensor(sorted(special_ids))

    def see_tokens(self, module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """A forward pre-hook for the model's embedding."""
        token_ids = inputs[0]
        self.keep = ~torch.isin(token_ids, self._special_ids.to(token_ids.device))


def replacing_hook(name: str, function: Replacement, where: Replaceable) -> Callable[..., Tensor]:
    """A hook that puts activations through `function` where they may be replaced, and leaves the others alone.

    Trailing dimensions are joined into one for the function, and parted again. `name` is for the error it raises.
    """

    def hook(tensor: Tensor, hook: Any) -> Tensor:
        assert where.keep is not None
        keep, flat = where.keep.to(tensor.device), tensor.flatten(start_dim=2)
        new = function(flat, keep)
        if new.shape != flat.shape:
            raise SourceError(f"what replaces {name} has shape {tuple(new.shape)}, expected {tuple(flat.shape)}")
        return torch.where(keep[..., None], new.to(flat.dtype), flat).reshape(tensor.shape)

    return hook


def carried(replacing: Callable[..., Tensor]) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """A hook on a branch of the residual stream, and the hook that adds what it changed where the branch has come back.

    TransformerLens 4 hooks the stream in the middle of a block where it enters the MLP's norm: what a hook puts there
    goes into the MLP and not on in the stream.
    """
    change: list[Tensor] = []

    def on_branch(tensor: Tensor, hook: Any) -> Tensor:
        new = replacing(tensor, hook=hook)
        change[:] = [new - tensor]
        return new

    def on_stream(tensor: Tensor, hook: Any) -> Tensor:
        return tensor + change.pop()

    return on_branch, on_stream


@contextlib.contextmanager
def attached(point: Any, function: Callable[..., Any]) -> Iterator[None]:
    """`function` called at the hook inside the block; other hooks there, and how they were set, stay as they are."""
    handle = point.add_hook(function)
    try:
        yield
    finally:
        handle.hook.remove()
        point.fwd_hooks.remove(handle)
