"""What a language model is, whatever its folder is called and whatever else lies there: weights, architecture and
tokenizer. Each is a short fingerprint; two models with the same three give the same activations for the same text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from msae.activations.fingerprint import evenly, short
from msae.activations.tokenization import special_tokens
from msae.core.errors import SourceError
from msae.core.files import read_json

INDEXED = (
    ("model.safetensors.index.json", "model.safetensors"),
    ("pytorch_model.bin.index.json", "pytorch_model.bin"),
)
WHOLE_TENSOR_BYTES = 1 << 16
SAMPLED_BLOCKS = 16
BLOCK_BYTES = 1 << 12

NOT_ARCHITECTURE = (
    "_", "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version", "use_cache", "output_", "return_",
    "id2label", "label2id", "num_labels", "problem_type", "tokenizer_class", "task_specific_params", "chunk_size_",
    "max_length", "do_sample", "attn_implementation",
)  # fmt: skip
"""Beginnings of a config's keys that say nothing of what the model computes."""

READ = (
    "The quick brown fox jumps over the lazy dog. 0123456789 1,000,000.00 don't it's",
    " a blank first;   runs of  blanks, ﬁne ½ ＡＢ \u212b<unk> [UNK]",
    "Größe, naïve cafés e\u0301, Ωμέγα, Привет, 四つ目, 한국어, مرحبا 🙂🏽\u200d",
    "def f(x):\n\treturn {'a': [x ** 2]}  # two  blanks\r\n\n\n    <a href=\"#\">&amp;</a>",
    "supercalifragilisticexpialidocious pneumonoultramicroscopic ABCdef XML2HTML snake_case camelCase",
)
"""Texts whose ids tell tokenizers apart that have the same vocabulary."""


def model_fingerprint(folder: Path, config: Any) -> str:
    """Of a model's weights and architecture: the tensors of its checkpoint and what its config differs in from its
    class's own. Names of folder and files, how tensors are spread over them, and other files don't count.

    Of large tensors an even sample of blocks is read. Raises `SourceError` when the folder holds no weights.
    """
    digest = hashlib.sha256(json.dumps(_architecture(config), sort_keys=True, default=str).encode())
    for line in sorted(f"{_place(name)}:{_of_tensor(tensor)}" for name, tensor in _tensors(folder)):
        digest.update(line.encode())
    return short(digest)


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Of what a tokenizer does: its vocabulary, its special tokens, and the ids of texts that tokenizers differ on."""
    special = special_tokens(tokenizer)
    digest = hashlib.sha256(repr((special.bos, special.cls, special.sep, sorted(special.ids))).encode())
    for piece, token_id in sorted(tokenizer.get_vocab().items()):
        digest.update(f"{token_id}:{piece};".encode("utf-8", "surrogatepass"))
    ids = [tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] for text in READ]
    digest.update(repr(ids).encode())
    return short(digest)


def _architecture(config: Any) -> dict[str, Any]:
    return _without_what_is_no_architecture(config.to_diff_dict() | {"model_type": config.model_type})


def _without_what_is_no_architecture(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_what_is_no_architecture(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if not str(key).startswith(NOT_ARCHITECTURE) and not str(key).endswith("_token_id")
    }


def _place(name: str) -> str:
    """A tensor's name from its layer's number on, or its last two parts: what stands before depends on the class that
    a model was saved as."""
    parts = name.split(".")
    first = next((i for i, part in enumerate(parts) if part.isdigit()), max(len(parts) - 2, 0))
    return ".".join(parts[first:])


def _of_tensor(tensor: Tensor) -> str:
    digest = hashlib.sha256(f"{tuple(tensor.shape)}:{tensor.dtype};".encode())
    content = tensor.detach().contiguous().flatten().view(torch.uint8)
    if len(content) <= WHOLE_TENSOR_BYTES:
        digest.update(content.numpy().data)
    else:
        for position in evenly(len(content) - BLOCK_BYTES + 1, SAMPLED_BLOCKS).tolist():
            digest.update(content[position : position + BLOCK_BYTES].numpy().data)
    return digest.hexdigest()


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    for index, single in INDEXED:
        if (folder / index).is_file():
            listed = read_json(folder / index, SourceError).get("weight_map", {})
            files = [folder / name for name in sorted(set(listed.values()))]
        else:
            files = [folder / single]
        if all(file.is_file() for file in files):
            break
    else:
        files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise SourceError(
            f"{folder} holds no weights (*.safetensors or pytorch_model*.bin): save the model there first"
        )
    for file in files:
        try:
            yield from _read_pickled(file) if file.suffix == ".bin" else _read(file)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise SourceError(f"could not read the weights {file}: {error}") from error


def _read(file: Path) -> Iterator[tuple[str, Tensor]]:
    with safe_open(file, "pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118
            yield name, tensors.get_tensor(name)


def _read_pickled(file: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        content = _unpickled(file)
    except Exception as error:  # whatever a damaged or hostile file makes an unpickler meet
        raise SourceError(f"could not read the weights {file}: {error}") from error
    yield from ((name, tensor) for name, tensor in content.items() if isinstance(tensor, Tensor))


def _unpickled(file: Path) -> Any:
    try:
        return torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    except RuntimeError:  # what torch wrote before its files were archives
        return torch.load(file, map_location="cpu", weights_only=True)
