"""What kind of a model is read here, and how much of a text at once."""

from __future__ import annotations

from typing import Any

from torch import nn

from msae.core.errors import SourceError


def require_one_stack(config: Any, name: str) -> None:
    """Raise `SourceError` for an encoder–decoder (T5, BART, Whisper).

    It reads two texts, and what its decoder is given is shifted: contexts packed for a causal model, their padding and
    their cross-entropies would all be wrong.
    """
    if getattr(config, "is_encoder_decoder", False):
        raise SourceError(
            f"{name} is an encoder-decoder ({getattr(config, 'model_type', '?')}); language models with one stack of "
            "blocks are read here, causal or encoder. For its encoder use ModuleSource(model.get_encoder(), ...), with "
            "an attention_mask in the inputs"
        )


def longest_context(model: nn.Module, n_positions: int) -> int:
    """How many tokens the model reads at once, special tokens included: `n_positions` as its config says, or fewer.

    Models of RoBERTa's kind count positions from behind the padding id, so 514 positions hold 512 tokens.
    """
    held = [
        module.num_embeddings - module.padding_idx - 1
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and "position" in name and module.padding_idx is not None
    ]
    return min([n_positions, *held])
