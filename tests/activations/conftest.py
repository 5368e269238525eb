"""Small models of several architectures with random weights and a real byte-level tokenizer, saved as folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

ARCHITECTURES = ("gpt2", "gpt_neox", "llama", "gemma", "gemma2")
N_LAYERS, D_MODEL, N_HEADS, N_CONTEXT = 4, 32, 4, 64
TEXTS = [
    "the cat sat on the mat, and the dog ran after the cat until the cat was gone",
    "a mat",
    "",
    "größer als ein Hund, 四つ目\nand a second line that runs on and on and on, said the dog",
]


def byte_level_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>", pad_token="<pad>"
    )


def tiny_config(architecture: str, vocab_size: int) -> Any:
    from transformers import AutoConfig

    if architecture == "gpt2":
        sizes = {"n_embd": D_MODEL, "n_layer": N_LAYERS, "n_head": N_HEADS, "n_positions": N_CONTEXT}
    else:
        sizes = {
            "hidden_size": D_MODEL,
            "num_hidden_layers": N_LAYERS,
            "num_attention_heads": N_HEADS,
            "intermediate_size": 2 * D_MODEL,
            "max_position_embeddings": N_CONTEXT,
        }
    if architecture in ("llama", "gemma", "gemma2"):
        sizes |= {"num_key_value_heads": N_HEADS // 2, "head_dim": D_MODEL // N_HEADS}
    if architecture == "gemma2":
        sizes |= {"sliding_window": 8, "query_pre_attn_scalar": D_MODEL // N_HEADS}
    # A wide initialisation, so that every part of the model shows in its output.
    return AutoConfig.for_model(
        architecture,
        vocab_size=vocab_size,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
        **sizes,
    )


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`tiny_model("llama")`: the folder of a 4-layer model of that architecture, made once a session."""
    from transformers import AutoModelForCausalLM

    root = tmp_path_factory.mktemp("models")
    tokenizer = byte_level_tokenizer()

    def folder(architecture: str) -> Path:
        path = root / architecture
        if not path.exists():
            with torch.random.fork_rng():
                torch.manual_seed(11)
                model = AutoModelForCausalLM.from_config(tiny_config(architecture, len(tokenizer)))
            model.save_pretrained(path)
            tokenizer.save_pretrained(path)
        return path

    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a 4-layer BERT saved without its head, with a WordPiece tokenizer that has [UNK]."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    path = tmp_path_factory.mktemp("models") / "bert"
    words = sorted({word.strip(",.") for text in TEXTS[:2] for word in text.split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", *words, "##s"]
    tokenizer = BertTokenizerFast(vocab={word: index for index, word in enumerate(vocabulary)})
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=D_MODEL,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=N_HEADS,
        intermediate_size=2 * D_MODEL,
        max_position_embeddings=N_CONTEXT,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(11)
        BertModel(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
