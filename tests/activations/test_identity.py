"""Identity is weights, architecture and tokenizer, and nothing else: of a real folder, changed in every way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from msae.activations import identity
from msae.activations.identity import tokenizer_fingerprint
from msae.activations.reopen import reopen
from msae.activations.transformer_lens import TransformerLensSource
from msae.core.errors import MismatchError, SourceError
from tests.kinds_of_tokenizers import KEPT, NOT_KEPT


def spec_of(folder: Path):
    (spec,) = TransformerLensSource(folder, layer=1, context_size=16, device="cpu").specs.values()
    return spec


@pytest.fixture
def folder(tiny_model, tmp_path) -> Path:
    return shutil.copytree(tiny_model("llama"), tmp_path / "my-model")


@pytest.fixture
def recorded(folder):
    return spec_of(folder)


def renamed(folder):
    return folder.rename(folder.parent / "archive-of-my-model")


def with_a_trainer_s_leftovers(folder):
    torch.save({"lr": 1}, folder / "training_args.bin")
    save_file({"m": torch.zeros(3)}, folder / "optimizer.safetensors")
    return folder


def saved_by_another_version(folder):
    edit(
        folder / "config.json", transformers_version="4.1.0", use_cache=False, torch_dtype="bfloat16", _name_or_path="x"
    )
    edit(folder / "tokenizer_config.json", model_max_length=7, added_by="somebody")
    return folder


def with_defaults_spelt_out(folder):
    edit(folder / "config.json", mlp_bias=False, attention_bias=False, pretraining_tp=1)
    return folder


def spread_over_files(folder):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    return folder


def pickled(folder):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    return folder


def edit(file: Path, **values):
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    "change",
    [
        renamed,
        with_a_trainer_s_leftovers,
        saved_by_another_version,
        with_defaults_spelt_out,
        spread_over_files,
        pickled,
    ],
)
def test_what_is_no_part_of_a_model_changes_nothing(change, folder, recorded):
    found = spec_of(change(folder))
    assert (found.weights, found.tokenizer) == (recorded.weights, recorded.tokenizer)
    assert recorded.differences(found) == []


def trained_on(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.2.mlp.up_proj.weight"][0, 0] += 1e-3
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def with_another_eps(folder):
    edit(folder / "config.json", rms_norm_eps=1e-3)


def with_another_base(folder):
    edit(folder / "config.json", rope_parameters={"rope_type": "default", "rope_theta": 500.0})


@pytest.mark.parametrize("change", [trained_on, with_another_eps, with_another_base])
def test_another_model_under_the_same_name_is_another(change, folder, recorded):
    change(folder)
    found = spec_of(folder)
    assert [line.split(":")[0] for line in recorded.differences(found)] == ["weights"]
    with pytest.raises(MismatchError, match="weights"):
        reopen(recorded, device="cpu")


def test_a_moved_model_is_opened_where_it_is_now(folder, recorded):
    moved = renamed(folder)
    with pytest.raises(SourceError, match="there is no folder"):
        reopen(recorded, device="cpu")
    assert reopen(recorded, model=str(moved), device="cpu").specs[recorded.hook_name].model == moved.name


def test_another_tokenizer_in_the_model_s_folder_is_noticed(folder, recorded):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    vocabulary = tokenizer.get_vocab()
    kept = {piece: number for piece, number in vocabulary.items() if number < 200}
    others = {piece: number for piece, number in vocabulary.items() if number >= 200}
    shifted = dict(zip(others, [*list(others.values())[1:], next(iter(others.values()))], strict=True))
    file = json.loads((folder / "tokenizer.json").read_text())
    file["model"]["vocab"] = {
        piece: number for piece, number in (kept | shifted).items() if piece in file["model"]["vocab"]
    }
    (folder / "tokenizer.json").write_text(json.dumps(file))
    found = spec_of(folder)
    assert [line.split(":")[0] for line in recorded.differences(found)] == ["tokenizer"]
    with pytest.raises(MismatchError, match="tokenizer"):
        reopen(recorded, device="cpu")
    with pytest.warns(UserWarning, match="tokenizer"):
        reopen(recorded, device="cpu", force=True)


def test_tokenizers_of_every_kind_differ():
    kinds = {**{name: make for name, (make, *_) in KEPT.items()}, **NOT_KEPT}
    found = {name: tokenizer_fingerprint(make()) for name, make in kinds.items()}
    assert len(set(found.values())) == len(kinds)
    assert found == {name: tokenizer_fingerprint(make()) for name, make in kinds.items()}


def test_a_special_token_more_is_another_tokenizer():
    first, second = (KEPT["byte level"][0]() for _ in range(2))
    second.add_special_tokens({"additional_special_tokens": ["the"]})
    assert tokenizer_fingerprint(first) != tokenizer_fingerprint(second)


def test_a_large_tensor_is_sampled_from_its_first_byte_to_its_last(folder, recorded, monkeypatch):
    monkeypatch.setattr(identity, "WHOLE_TENSOR_BYTES", 64)
    monkeypatch.setattr(identity, "BLOCK_BYTES", 8)
    seen = {spec_of(folder).weights}
    for place in (0, -1):
        tensors = load_file(folder / "model.safetensors")
        tensors["model.layers.2.mlp.up_proj.weight"].view(-1)[place] += 1
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        seen.add(spec_of(folder).weights)
    assert len(seen) == 3


def test_a_model_in_memory_is_known_by_its_parameters(tiny_model):
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = (kind.from_pretrained(tiny_model("llama")) for kind in (AutoModelForCausalLM, AutoTokenizer))
    bridge = TransformerBridge.boot_transformers("mine", hf_model=model, tokenizer=tokenizer, device="cpu")
    (spec,) = TransformerLensSource(bridge, layer=1, context_size=16).specs.values()
    assert spec.weights == "" and spec.revision.startswith("sha256:") and spec.tokenizer.startswith("sha256:")
