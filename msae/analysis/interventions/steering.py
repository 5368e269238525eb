"""What a model writes after a text, as it is and with a latent's direction added at its hook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from msae.activations.source import ContextBatch, Replacement
from msae.activations.transformer_lens import TransformerLensSource
from msae.analysis.interventions.one_context import columns, last_context
from msae.analysis.sample import token_text
from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import SourceError
from msae.core.rng import torch_stream
from msae.sae.autoencoder import SparseAutoencoder


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """What a model wrote. `texts`: of each token; joined they are the text."""

    token_ids: tuple[int, ...]
    texts: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.texts)


@checked
def along(sae: SparseAutoencoder, latent: int, strength: int | float) -> Replacement:
    """A replacement that adds ``strength · W_dec[latent]`` wherever rows are kept.

    `strength`: in units of the latent's activation, so that its largest activation is a natural measure.
    """
    require(0 <= latent < sae.d_sae, "latent", latent, f"0 to {sae.d_sae - 1}")
    step = strength * sae.W_dec[latent].detach()

    def replacement(
        activations: Float[Tensor, "batch context d_in"], keep: Bool[Tensor, "batch context"]
    ) -> Float[Tensor, "batch context d_in"]:
        return torch.where(keep[..., None], activations + step.to(activations), activations)

    return replacement


@checked
def continue_text(
    source: TransformerLensSource,
    text: str,
    *,
    n_tokens: int = 40,
    replace: Mapping[str, Replacement] | None = None,
    temperature: int | float = 0,
    seed: int = 0,
) -> Continuation:
    """What the model writes after `text`, with the activations at each hook of `replace` put through its function.

    The first `n_tokens` of `tokens_after`, which says the rest and what it raises.
    """
    require(n_tokens > 0, "n_tokens", n_tokens, "a positive number of tokens")
    tokens = tokens_after(source, text, replace=replace, temperature=temperature, seed=seed)
    return continuation_of(source, list(islice(tokens, n_tokens)))


def continuation_of(source: TransformerLensSource, token_ids: Sequence[int]) -> Continuation:
    """Tokens that were written, with their texts."""
    return Continuation(token_ids=tuple(token_ids), texts=tuple(token_text(source.tokenizer).passage(token_ids)))


@torch.no_grad()
def tokens_after(
    source: TransformerLensSource,
    text: str,
    *,
    replace: Mapping[str, Replacement] | None = None,
    temperature: int | float = 0,
    seed: int = 0,
) -> Iterator[int]:
    """The tokens the model writes after `text`, one at a time, until it writes a special one.

    Every token runs the whole context again: a cached pass would show a hook the newest token only, and the model would
    go on from unsteered keys and values before it. `temperature`: 0 takes the likeliest token; otherwise tokens are
    drawn, the same ones for the same `seed`, so that two continuations differ only by what was replaced. The model sees
    at most as many tokens as its contexts have.

    Raises, at the first token, `SourceError` for a model without a language head, `EvaluationError` for a text without
    a token.
    """
    require(temperature >= 0, "temperature", temperature, "0 or more")
    if not source.has_language_head:
        raise SourceError("this model writes nothing: it is not causal, or its head is not in the checkpoint")
    context = last_context(source, text)
    window = next(iter(source.specs.values())).context_size
    generator = torch_stream(seed, "continuation")
    while True:
        context = _within(context, window)
        logits = source.logits(context, replace)[0, -1].float().cpu()
        token = _drawn(logits, temperature, generator)
        if token in source.special.ids:
            return
        yield token
        context = _followed_by(context, token)


def _within(context: ContextBatch, window: int) -> ContextBatch:
    """The first token, if it is special, and as many of the last as fit."""
    n = context.token_ids.shape[1]
    if n <= window:
        return context
    opening = [0] if not bool(context.keep[0, 0]) else []
    return columns(context, torch.tensor([*opening, *range(n - window + len(opening), n)]))


def _followed_by(context: ContextBatch, token: int) -> ContextBatch:
    def longer(values: Tensor, value: int | bool) -> Tensor:
        return torch.cat([values, values.new_full((1, 1), value)], dim=1)

    return ContextBatch(
        token_ids=longer(context.token_ids, token),
        document=longer(context.document, 0),
        offset=longer(context.offset, int(context.offset[0, -1]) + 1),
        attention=longer(context.attention, True),
    )


def _drawn(logits: Float[Tensor, " vocab"], temperature: int | float, generator: torch.Generator) -> int:
    if temperature == 0:
        return int(logits.argmax())
    return int(torch.multinomial((logits / temperature).softmax(0), 1, generator=generator))
