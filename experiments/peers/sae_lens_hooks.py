"""What SAELens makes of SAEs inside a model: the rows they are given at their hook, and the logits with them in place.

Run with the Python of an environment that holds sae-lens (`make bench-peers` makes one)::

    .venv-peers/sae-lens/bin/python experiments/peers/sae_lens_hooks.py --model MODEL --tokens ids.safetensors \
        --out seen SAE…

`--model` is a folder saved by transformers (GPT-2, Pythia, Llama or Gemma 2, of any size), `--tokens` holds ``ids``
(context, position). For each folder SAE, ``seen/<its name>.safetensors`` gets ``rows``, ``codes`` and ``logits``, and
the model's own logits as ``clean``: these alone where SAELens leaves the SAE out.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformer_lens.loading_from_pretrained as loading
from sae_lens import SAE, HookedSAETransformer
from safetensors.torch import load_file, save_file
from transformer_lens import HookedTransformerConfig
from transformers import AutoModelForCausalLM, GPT2Config

# TransformerLens 3 reads what transformers 5 no longer has.
GPT2Config.n_ctx = property(lambda self: self.n_positions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("saes", type=Path, nargs="+", help="folders with cfg.json and sae_weights.safetensors")
    parser.add_argument("--model", type=Path, required=True, help="a folder saved by transformers")
    parser.add_argument("--tokens", type=Path, required=True, help="a safetensors file with ids (context, position)")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write into")
    arguments = parser.parse_args()
    model, ids = opened(arguments.model), load_file(arguments.tokens)["ids"]
    arguments.out.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        clean = model(ids)
        for folder in arguments.saes:
            sae = SAE.load_from_disk(folder)
            logits, cache = model.run_with_cache_with_saes(ids, saes=[sae])
            seen = {"clean": clean}
            if (name := f"{sae.cfg.metadata.hook_name}.hook_sae_input") in cache:
                codes = cache[name.replace("_input", "_acts_post")]
                seen |= {"rows": cache[name].flatten(2), "codes": codes, "logits": logits}
            save_file(
                {key: value.contiguous().clone() for key, value in seen.items()},
                arguments.out / f"{folder.name}.safetensors",
            )


def opened(folder: Path) -> HookedSAETransformer:
    """The model with its own weights, unprocessed."""
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    if theirs.config.model_type == "gemma2":
        config = HookedTransformerConfig.from_dict(gemma2(theirs.config))
    else:
        config = loading.get_pretrained_model_config(str(folder))
    model = HookedSAETransformer(config)
    unprocessed = dict.fromkeys(("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases"), False)
    weights = loading.get_pretrained_state_dict(str(folder), config, theirs)
    model.load_and_process_state_dict(weights, **unprocessed)
    return model


def gemma2(config: Any) -> dict[str, Any]:
    """TransformerLens 3 knows Gemma 2 by its sizes alone; this is its architecture at any size."""
    return {
        "original_architecture": "Gemma2ForCausalLM",
        "d_model": config.hidden_size,
        "d_head": config.head_dim,
        "n_heads": config.num_attention_heads,
        "n_key_value_heads": config.num_key_value_heads,
        "d_mlp": config.intermediate_size,
        "n_layers": config.num_hidden_layers,
        "n_ctx": config.max_position_embeddings,
        "d_vocab": config.vocab_size,
        "eps": config.rms_norm_eps,
        "act_fn": "gelu_pytorch_tanh",
        "normalization_type": "RMS",
        "final_rms": True,
        "positional_embedding_type": "rotary",
        "rotary_base": 10000.0,
        "use_attn_scale": True,
        "attn_scale": config.query_pre_attn_scalar**0.5,
        "use_local_attn": True,
        "window_size": config.sliding_window,
        "attn_types": ["local", "global"] * (config.num_hidden_layers // 2),
        "attn_scores_soft_cap": config.attn_logit_softcapping,
        "output_logits_soft_cap": config.final_logit_softcapping,
        "gated_mlp": True,
        "use_normalization_before_and_after": True,
    }


if __name__ == "__main__":
    main()
