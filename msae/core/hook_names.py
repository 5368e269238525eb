"""Hooks by the names of TransformerLens 4, which msae reads, and of TransformerLens 3, which SAELens reads.

With a name that its model lacks, SAELens leaves an SAE out and goes on without it. So a saved SAE must give the name
that the very same place has there: its rows are then equal, and what replaces them goes on in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Collection

ALWAYS = {
    "hook_in": "hook_resid_pre",
    "hook_out": "hook_resid_post",
    "ln1_post.hook_out": "hook_attn_out",
    "ln2_post.hook_out": "hook_mlp_out",
    "attn.q.hook_out": "attn.hook_q",
    "attn.k.hook_out": "attn.hook_k",
    "attn.v.hook_out": "attn.hook_v",
    "attn.o.hook_in": "attn.hook_z",
    "mlp.gate.hook_out": "mlp.hook_pre",
    "mlp.out.hook_in": "mlp.hook_post",
}
"""Inside a block, where the name alone says what it is in TransformerLens 3."""

BY_MODEL = {
    # What a post-norm (Gemma 2) reads has no name there, and what it writes has this one.
    "attn.hook_out": ("hook_attn_out",),
    "attn.o.hook_out": ("hook_attn_out",),
    "mlp.hook_out": ("hook_mlp_out",),
    "mlp.out.hook_out": ("hook_mlp_out",),
    # Where attention and MLP read the same (Pythia), there is no middle.
    "ln2.hook_in": ("hook_resid_mid",),
    # Of a gated MLP (Llama), what is not put through the activation function.
    "mlp.in.hook_out": ("mlp.hook_pre", "mlp.hook_pre_linear"),
}
"""Inside a block, where that depends on the model: the names there may be."""

SAME_PLACE = {"attn.o.hook_out": "attn.hook_out", "mlp.out.hook_out": "mlp.hook_out"}
"""A part's last layer and the part itself write the same."""

OUTSIDE = {
    "embed.hook_out": "hook_embed",
    "pos_embed.hook_out": "hook_pos_embed",
    "ln_final.hook_out": "unembed.hook_in",
}

HEADS = "attn.hook_z"
"""The one hook with an axis of heads that SAELens flattens, as rows of a store are."""

_BLOCK = re.compile(r"(blocks\.\d+\.)(.+)")


def legacy_name(hook_name: str, aliases: Collection[str] | None = None) -> str:
    """What TransformerLens 3 calls the hook; empty where it has no such place under another name, or that is not known.

    `aliases`: other names that the model gives the hook, or the part it ends (`SAME_PLACE`); None: there is no model
    to tell, so only names that are right for every model are given.
    """
    block = _BLOCK.fullmatch(hook_name)
    if block is None:
        return OUTSIDE.get(hook_name, "")
    prefix, place = block.groups()
    if place in ALWAYS:
        return prefix + ALWAYS[place]
    found = [prefix + name for name in BY_MODEL.get(place, ()) if prefix + name in (aliases or ())]
    return found[0] if found else ""


def part_of(hook_name: str) -> str:
    """The hook of the same rows that the model may have another name for: itself, or the part it ends."""
    block = _BLOCK.fullmatch(hook_name)
    return hook_name if block is None else block[1] + SAME_PLACE.get(block[2], block[2])


def same_stream(legacy: str) -> str:
    """One name for the residual stream between two blocks, which has two; any other name as it is."""
    match = re.fullmatch(r"blocks\.(\d+)\.hook_resid_pre", legacy)
    return f"blocks.{int(match[1]) - 1}.hook_resid_post" if match and int(match[1]) > 0 else legacy
