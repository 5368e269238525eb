"""What a direction at a hook says to the logits directly: into the residual stream, through the final norm's gain, into
the unembedding.

All three parts are read off what the model *does*: a norm's gain is the same whether it is stored as w or as 1 + w,
whether it was folded into other weights, whether the norm centres; a hook is on the residual stream when what is added
there arrives in the stream. Names and widths say neither: heads' z and queries are often as wide as the stream.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from msae.activations.hooks import attached
from msae.activations.source import ContextBatch
from msae.core.errors import SourceError
from msae.core.rng import torch_stream

if TYPE_CHECKING:
    from msae.activations.transformer_lens import TransformerLensSource
else:
    TransformerLensSource = Any

STREAM = re.compile(r"blocks\.\d+\.hook_(in|out|resid_pre|resid_mid|resid_post)|ln_final\.hook_in")
LINEAR_LAYERS = {"Linear", "Conv1D"}
AFTER_NORM = {"ln_final.hook_out", "unembed.hook_in"}
ARRIVES = 0.99
"""A direction arrives in the residual stream when the cosine of what was added and what came is at least this."""


@dataclass(frozen=True, kw_only=True)
class NormGain:
    """A norm to first order, but for its scale: x ↦ γ · x, or γ · (x − mean of x) where it centres."""

    gain: Float[Tensor, " d_model"]
    centred: bool

    def apply(self, unembedding: Float[Tensor, "d_model vocab"]) -> Float[Tensor, "d_model vocab"]:
        """The matrix from the stream before the norm to the logits."""
        through = self.gain[:, None] * unembedding
        return through - through.mean(dim=0) if self.centred else through


@torch.no_grad()
def norm_gain(
    norm: Callable[[Float[Tensor, "1 1 d_model"]], Float[Tensor, "1 1 d_model"]], like: Float[Tensor, " d_model"]
) -> NormGain:
    """The gain of a layer norm or an RMS norm, from what it makes of vectors of signs (their mean square is 1, and
    their mean is 0, or 1/d_model where d_model is odd). `like` gives width, dtype and device."""
    signs = torch.ones_like(like)
    signs[1::2] = -1
    through = lambda x: norm(x[None, None])[0, 0].float()
    plus, minus = through(signs), through(-signs)  # the difference is free of the norm's bias
    # A constant added changes what an RMS norm gives by half or more, what a layer norm gives by rounding.
    moved = (through(signs + 1) - plus).abs().mean()
    centred = bool(moved < 0.1 * (plus - minus).abs().mean())
    seen = (signs - signs.mean()) / signs.std(unbiased=False) if centred else signs
    return NormGain(gain=(plus - minus) / (2 * seen.float()), centred=centred)


@torch.no_grad()
def linear_map(
    module: Callable[[Float[Tensor, "rows d_in"]], Float[Tensor, "rows d_out"]], like: Float[Tensor, " d_in"]
) -> Float[Tensor, "d_in d_out"]:
    """The matrix of a linear layer, its bias left out, whatever way round its weight is stored."""
    unit = torch.eye(len(like), dtype=like.dtype, device=like.device)
    return module(unit) - module(torch.zeros_like(unit))


def arrives(added: Float[Tensor, " d_model"], came: Float[Tensor, " d_model"]) -> bool:
    """Whether what came into the residual stream is what was added, up to a factor."""
    return bool(torch.nn.functional.cosine_similarity(added.float(), came.float(), dim=0) >= ARRIVES)


def direct_unembedding(source: TransformerLensSource, hook_name: str) -> Float[Tensor, "d_in vocab"]:
    """The matrix from directions at a hook to their direct effect on logits, float32, a factor apart.

    Raises `SourceError` without a language head, and where the hook's space is not the residual stream's.
    """
    unembedding = source.unembedding()
    if unembedding is None:
        raise SourceError(f"{source.model.cfg.model_name} has no language head of its own, so there are no logits")
    unembedding = unembedding.float()
    names = source.names_of(hook_name)
    if AFTER_NORM & set(names):
        return unembedding
    into = None if any(map(STREAM.fullmatch, names)) else _into_stream(source, names)
    from_stream = norm_gain(source.model.ln_final, source.model.W_U[:, 0]).apply(unembedding)
    return from_stream if into is None else into.float() @ from_stream


@torch.no_grad()
def _into_stream(source: TransformerLensSource, names: list[str]) -> Float[Tensor, "d_in d_model"] | None:
    """The matrix from a hook's space into the residual stream, None for the identity; `SourceError` if there is none.

    Tried are the identity and the linear layer that the hook is the input of (heads' z and W_O), each by adding a
    direction at the hook and looking at what comes into the stream.
    """
    name = names[0]
    block = re.match(r"blocks\.\d+\.", name)
    streams = [f"{block[0]}hook_resid_mid", f"{block[0]}hook_out"] if block else ["blocks.0.hook_in"]
    seen = _at(source, [name, *streams])
    here = seen[name]
    added = here.norm() * torch.nn.functional.normalize(
        torch.randn(len(here), generator=torch_stream(0, f"readout/{name}")).to(here), dim=0
    )
    moved = _at(source, streams, add=(name, added))
    layer = _linear_layer(source, names)
    for into in (None, *([linear_map(layer, here)] if layer is not None else [])):
        expected = added if into is None else added @ into
        if any(expected.shape == came.shape and arrives(expected, came - seen[hook]) for hook, came in moved.items()):
            return into
    raise SourceError(
        f"what is added at {name} does not come into the residual stream as it is, so directions there say nothing to "
        "the logits directly"
    )


def _linear_layer(source: TransformerLensSource, names: list[str]) -> torch.nn.Module | None:
    """The linear layer that a hook is the input of, if it is."""
    for name in (name for name in names if name.endswith(".hook_in")):
        layer = getattr(source.model.get_submodule(name.removesuffix(".hook_in")), "original_component", None)
        if type(layer).__name__ in LINEAR_LAYERS:
            return layer
    return None


def _at(
    source: TransformerLensSource, names: list[str], add: tuple[str, Tensor] | None = None
) -> dict[str, Float[Tensor, " _"]]:
    """What hooks hold at the last position of a tiny input, with a direction added there at one of them."""
    seen: dict[str, Tensor] = {}

    def looking(name: str) -> Callable[..., None]:
        def look(tensor: Tensor, hook: Any) -> None:
            seen[name] = tensor[0, -1].flatten()

        return look

    def adding(tensor: Tensor, hook: Any) -> Tensor:
        assert add is not None
        moved = tensor.clone()
        moved[0, -1] += add[1].reshape(tensor[0, -1].shape)
        return moved

    ids = torch.arange(3)[None] % source.model.cfg.d_vocab
    nowhere = torch.full_like(ids, -1)
    batch = ContextBatch(token_ids=ids, document=nowhere, offset=nowhere, attention=torch.ones_like(ids).bool())
    with contextlib.ExitStack() as stack:
        if add is not None:
            stack.enter_context(attached(source.hook_point(add[0]), adding))
        for name in names:
            if name in source.model.hook_dict:
                stack.enter_context(attached(source.hook_point(name), looking(name)))
        source.logits(batch)
    return seen
