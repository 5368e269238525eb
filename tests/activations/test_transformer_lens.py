"""TransformerLensSource against the transformers models themselves, on tiny folders of five architectures."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from msae.activations.source import ActivationSource, ContextBatch, PatchableSource, rows_kept
from msae.activations.transformer_lens import TransformerLensSource
from msae.core.errors import ConfigError, CorpusError, SourceError
from msae.core.spec import require_same_source
from msae.data.documents import Document, jsonl_documents, parquet_documents, string_documents

ARCHITECTURES = ("gpt2", "gpt_neox", "llama", "gemma", "gemma2")
N_LAYERS, D_MODEL, N_HEADS, N_CONTEXT = 4, 32, 4, 64
BOS, PAD = 0, 1
TEXTS = [
    "the cat sat on the mat, and the dog ran after the cat until the cat was gone",
    "a mat",
    "",
    "größer als ein Hund, 四つ目\nand a second line that runs on and on and on, said the dog",
]
DOCUMENTS = string_documents(TEXTS)


@pytest.fixture(params=ARCHITECTURES)
def folder(request, tiny_model) -> Path:
    return tiny_model(request.param)


@pytest.fixture
def gpt2(tiny_model) -> Path:
    return tiny_model("gpt2")


def source_of(folder, *args, **settings) -> TransformerLensSource:
    if not args and not {"layer", "hook_names"} & settings.keys():
        settings["layer"] = 2
    return TransformerLensSource(folder, *args, **{"context_size": 16, "batch_size": 3, "device": "cpu"} | settings)


@functools.cache
def shared_bridge(folder: Path):
    return source_of(folder).model


def opened(folder: Path, *args, **settings) -> TransformerLensSource:
    """A source on a model opened once, for every test that leaves it as it is."""
    return source_of(shared_bridge(folder), *args, **settings)


def whole_batch(source: TransformerLensSource) -> ContextBatch:
    batches = list(source.contexts(DOCUMENTS))
    fields = ("token_ids", "document", "offset", "attention")
    return ContextBatch(**{name: torch.cat([getattr(batch, name) for batch in batches]) for name in fields})


@contextlib.contextmanager
def transformers_model(folder: Path):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        yield model


def layers_of(model: torch.nn.Module) -> torch.nn.ModuleList:
    return next(part for part in model.modules() if isinstance(part, torch.nn.ModuleList) and len(part) == N_LAYERS)


class TestAgainstTransformers:
    def test_the_residual_stream_is_the_hidden_states(self, folder):
        names = [f"blocks.{layer}.hook_resid_post" for layer in range(N_LAYERS - 1)]
        source = opened(folder, hook_names=names)
        batch = whole_batch(source)
        with transformers_model(folder) as model:
            hidden = model(batch.token_ids, output_hidden_states=True).hidden_states
        activations = source.activations(batch)
        real = batch.attention
        assert real.sum() > 50 and list(activations) == [f"blocks.{layer}.hook_out" for layer in range(N_LAYERS - 1)]
        for layer, tensor in enumerate(activations.values()):
            torch.testing.assert_close(tensor[real], hidden[layer + 1][real], rtol=1e-5, atol=1e-5)

    def test_the_last_layer_is_the_residual_stream_before_the_final_norm(self, folder):
        source = opened(folder, layer=N_LAYERS - 1)
        batch = whole_batch(source)
        seen = []
        with transformers_model(folder) as model:
            first = lambda output: output[0] if isinstance(output, tuple) else output
            layers_of(model)[-1].register_forward_hook(lambda module, inputs, output: seen.append(first(output)))
            model(batch.token_ids)
        (tensor,) = source.activations(batch).values()
        torch.testing.assert_close(tensor[batch.attention], seen[0][batch.attention], rtol=1e-5, atol=1e-5)

    def test_logits(self, folder):
        source = opened(folder)
        batch = whole_batch(source)
        with transformers_model(folder) as model:
            expected = model(batch.token_ids).logits
            logits = source.logits(batch)
        real = batch.attention
        torch.testing.assert_close(logits[real], expected[real], rtol=1e-5, atol=2e-5)

    def test_the_unembedding_is_the_head(self, folder):
        source = opened(folder)
        with transformers_model(folder) as model:
            head = model.get_output_embeddings().weight
        assert source.has_language_head
        torch.testing.assert_close(source.unembedding(), head.T)


class TestReplacing:
    def test_the_identity_changes_nothing(self, folder):
        source = opened(folder)
        batch = whole_batch(source)
        with torch.no_grad():
            plain = source.logits(batch)
            same = source.logits(batch, {"blocks.2.hook_resid_post": lambda x, keep: x.clone()})
        assert torch.equal(plain, same)

    def test_zeros_equal_a_forward_hook_on_the_transformers_model(self, folder):
        source = opened(folder)
        batch = whole_batch(source)

        def zeroed(module, inputs, output):
            hidden = output[0] if isinstance(output, tuple) else output
            hidden = torch.where(batch.keep[..., None], torch.zeros_like(hidden), hidden)
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        with transformers_model(folder) as model:
            layers_of(model)[1].register_forward_hook(zeroed)
            expected = model(batch.token_ids).logits
            logits = source.logits(batch, {"blocks.1.hook_resid_post": lambda x, keep: torch.zeros_like(x)})
            plain = source.logits(batch)
        kept = batch.keep
        torch.testing.assert_close(logits[kept], expected[kept], rtol=1e-5, atol=2e-5)
        assert (logits - plain)[kept].abs().max() > 0.01

    @pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2"])
    def test_what_replaces_the_stream_in_a_block_goes_on_in_the_stream(self, architecture, tiny_model):
        """As by hand on the transformers model: the block's output is the new middle and what the MLP makes of it."""
        source = opened(tiny_model(architecture))
        batch = whole_batch(source)
        middle = {}

        def new_middle(x, keep):
            return 0.5 * x + 1

        def before_mlp(module, inputs):
            middle["old"] = inputs[0]
            middle["new"] = torch.where(batch.keep[..., None], new_middle(inputs[0], batch.keep), inputs[0])
            return (middle["new"], *inputs[1:])

        def after_block(module, inputs, output):
            hidden = output[0] if isinstance(output, tuple) else output
            hidden = hidden - middle["old"] + middle["new"]
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        norm = {"gpt2": "ln_2", "llama": "post_attention_layernorm", "gemma2": "pre_feedforward_layernorm"}
        with transformers_model(tiny_model(architecture)) as model:
            block = layers_of(model)[1]
            block.get_submodule(norm[architecture]).register_forward_pre_hook(before_mlp)
            block.register_forward_hook(after_block)
            expected = model(batch.token_ids).logits
            for name in ("blocks.1.hook_resid_mid", "blocks.1.ln2.hook_in"):
                logits = source.logits(batch, {name: new_middle})
                torch.testing.assert_close(logits[batch.keep], expected[batch.keep], rtol=1e-5, atol=2e-5)
            both = {name: lambda x, keep: 0 * x for name in ("blocks.1.hook_out", "blocks.1.hook_resid_mid")}
            last = {"blocks.1.hook_out": lambda x, keep: 0 * x}
            torch.testing.assert_close(source.logits(batch, both)[batch.keep], source.logits(batch, last)[batch.keep])

    def test_special_positions_keep_their_activations(self, gpt2):
        source = opened(gpt2, layer=1)
        batch = whole_batch(source)
        with torch.no_grad(), source.replacing({"blocks.1.hook_out": lambda x, keep: x + 100}, batch.keep):
            (changed,) = source.activations(batch).values()
        (plain,) = source.activations(batch).values()
        special = batch.attention & ~batch.keep
        assert torch.equal(changed[special], plain[special]) and special.any()
        torch.testing.assert_close(changed[batch.keep], plain[batch.keep] + 100)

    def test_without_a_mask_special_tokens_are_read_off_the_input(self, gpt2):
        source = opened(gpt2)
        batch = whole_batch(source)
        ablation = {"blocks.1.hook_resid_post": lambda x, keep: x * 0}
        with torch.no_grad():
            expected = source.logits(batch, ablation)
            with source.replacing(ablation):
                found = source.model(batch.token_ids)
        assert torch.equal(found[batch.attention], expected[batch.attention])

    def test_heads_are_joined_into_one_dimension_and_parted_again(self, gpt2):
        source = opened(gpt2, "blocks.1.attn.hook_z")
        assert next(iter(source.specs.values())).d_in == D_MODEL
        batch = whole_batch(source)
        with torch.no_grad():
            plain = source.logits(batch)
            assert torch.equal(plain, source.logits(batch, {"blocks.1.attn.hook_z": lambda x, keep: x + 0}))
            assert not torch.equal(plain, source.logits(batch, {"blocks.1.attn.hook_z": lambda x, keep: x * 0}))

    def test_gradients_reach_what_replaces(self, gpt2):
        source = opened(gpt2)
        batch = whole_batch(source)
        direction = torch.zeros(D_MODEL, requires_grad=True)
        source.logits(batch, {"blocks.1.hook_out": lambda x, keep: x + direction})[batch.keep].sum().backward()
        assert direction.grad is not None and direction.grad.abs().sum() > 0
        assert not source.logits(batch).requires_grad

    def test_a_wrong_shape_is_named(self, gpt2):
        source = opened(gpt2)
        with pytest.raises(SourceError, match=r"blocks.1.hook_out has shape \(\d+, 16, 31\), expected"):
            source.logits(whole_batch(source), {"blocks.1.hook_out": lambda x, keep: x[..., 1:]})

    def test_the_model_is_as_before_after_an_error(self, gpt2):
        source = opened(gpt2)
        batch = whole_batch(source)
        before = source.logits(batch)
        with pytest.raises(ZeroDivisionError):
            source.logits(batch, {"blocks.1.hook_out": lambda x, keep: 1 // 0})
        assert torch.equal(source.logits(batch), before)
        assert not any(point.fwd_hooks for point in source.model.hook_points())


class TestActivations:
    @pytest.mark.parametrize("hook", ["blocks.1.hook_resid_post", "blocks.1.hook_resid_mid", "hook_embed"])
    def test_nothing_after_the_hook_is_run(self, gpt2, hook):
        source = source_of(gpt2, hook)
        ran = []
        for name, point in source.model.hook_dict.items():
            if name == point.name:
                point.add_hook(lambda tensor, hook: ran.append(hook.name))
        source.activations(whole_batch(source))
        assert "embed.hook_out" in ran
        layers = {int(name.split(".")[1]) for name in ran if name.startswith("blocks.")}
        assert layers == (set() if hook == "hook_embed" else {0, 1})
        assert not any(name.startswith(("ln_final", "unembed")) for name in ran)
        assert ("blocks.1.mlp.hook_out" in ran) == (hook == "blocks.1.hook_resid_post")

    def test_several_hooks_come_from_one_pass(self, gpt2):
        names = ["blocks.2.hook_mlp_out", "blocks.0.hook_resid_post"]
        source = source_of(gpt2, hook_names=names)
        passes = []
        source.model.hook_dict["embed.hook_out"].add_hook(lambda tensor, hook: passes.append(1))
        batch = whole_batch(source)
        together = source.activations(batch)
        assert len(passes) == 1 and list(together) == ["blocks.2.mlp.hook_out", "blocks.0.hook_out"]
        for name in names:
            ((resolved, alone),) = opened(gpt2, name).activations(batch).items()
            assert torch.equal(alone, together[resolved])

    def test_a_context_does_not_depend_on_its_batch(self, folder):
        source = opened(folder)
        batch = whole_batch(source)
        (together,) = source.activations(batch).values()
        for row in range(len(batch)):
            one = batch.select(torch.tensor([row]))
            (alone,) = source.activations(one).values()
            kept = one.keep[0]
            torch.testing.assert_close(alone[0, kept], together[row, kept], rtol=1e-5, atol=1e-5)

    def test_there_is_no_gradient_and_the_rows_can_be_trained_on(self, gpt2):
        source = opened(gpt2)
        batch = whole_batch(source)
        rows = rows_kept(batch, next(iter(source.activations(batch).values())))
        assert rows.shape == (int(batch.keep.sum()), D_MODEL) and not rows.requires_grad
        weight = torch.ones(D_MODEL, requires_grad=True)
        ((rows * weight) ** 2).sum().backward()
        assert weight.grad is not None

    def test_padding_columns_are_zeros(self, gpt2):
        source = opened(gpt2, context_size=N_CONTEXT)
        (batch,) = source.contexts(string_documents(["a mat"]))
        (tensor,) = source.activations(batch).values()
        assert tensor.shape == (1, N_CONTEXT, D_MODEL)
        assert (tensor[~batch.attention] == 0).all() and (tensor[batch.attention] != 0).any(dim=1).all()

    def test_dtype(self, gpt2):
        source = source_of(gpt2, dtype="bfloat16")
        (spec,) = source.specs.values()
        (tensor,) = source.activations(whole_batch(source)).values()
        assert spec.dtype == "bfloat16" and tensor.dtype == torch.bfloat16


class TestContexts:
    def test_tokens_are_the_tokenizers_own_and_every_one_is_there(self, folder):
        source = opened(folder)
        batch = whole_batch(source)
        for number, text in enumerate(TEXTS):
            ids = source.tokenizer(text, add_special_tokens=False)["input_ids"]
            here = batch.document == number
            assert batch.token_ids[here].tolist() == ids
            assert batch.offset[here].tolist() == list(range(len(ids)))
        assert (batch.token_ids[:, 0] == BOS).all()
        assert set(batch.token_ids[~batch.keep].tolist()) <= {BOS, PAD}

    def test_the_same_documents_give_the_same_contexts(self, gpt2):
        first, second = (whole_batch(source_of(gpt2)) for _ in range(2))
        assert torch.equal(first.token_ids, second.token_ids) and torch.equal(first.offset, second.offset)

    def test_without_bos(self, gpt2):
        source = opened(gpt2, prepend_bos=False)
        (spec,) = source.specs.values()
        assert not spec.prepend_bos and not spec.bos_between_documents
        assert BOS not in whole_batch(source).token_ids.flatten().tolist()

    def test_bos_only_at_the_start(self, gpt2):
        source = opened(gpt2, bos_between_documents=False)
        batch = whole_batch(source)
        assert (batch.token_ids == BOS).sum() == len(batch)
        assert next(iter(source.specs.values())).prepend_bos

    def test_a_tokenizer_without_bos_gets_none(self, gpt2, tmp_path):
        folder = shutil.copytree(gpt2, tmp_path / "no-bos")
        config = json.loads((folder / "tokenizer_config.json").read_text())
        del config["bos_token"]
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        source = opened(folder)
        assert not next(iter(source.specs.values())).prepend_bos
        assert BOS not in whole_batch(source).token_ids.flatten().tolist()
        assert (whole_batch(opened(folder, prepend_bos=True)).token_ids[:, 0] == BOS).all()

    def test_a_special_token_written_in_the_text_is_left_out(self, gpt2):
        source = opened(gpt2)
        (batch,) = source.contexts([Document("a", "the cat<|endoftext|> sat")])
        kept = batch.token_ids[batch.keep].tolist()
        assert BOS not in kept and BOS in batch.token_ids[0, 1:5].tolist()
        assert "".join(source.token_strings(kept)) == "the cat sat"

    def test_a_tokenizer_of_another_model(self, gpt2, tiny_model, tmp_path):
        folder = shutil.copytree(gpt2, tmp_path / "small-vocabulary")
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(folder)
        model.resize_token_embeddings(40)
        model.save_pretrained(folder)
        with pytest.raises(SourceError, match="knows 40 tokens: the tokenizer belongs to another model"):
            list(opened(folder).contexts(DOCUMENTS))

    def test_strings_in_place_of_documents(self, gpt2):
        with pytest.raises(CorpusError, match="string_documents"):
            list(opened(gpt2).contexts(iter(["text"])))

    def test_token_strings(self, gpt2):
        source = opened(gpt2)
        ids = source.tokenizer(" the cat", add_special_tokens=False)["input_ids"]
        assert source.token_strings([BOS, *ids]) == ["<|endoftext|>", " the", " cat"]


class TestSpec:
    def test_everything_is_recorded(self, gpt2):
        (spec,) = opened(gpt2, layer=1).specs.values()
        assert spec.revision.startswith("sha256:") and spec.model_path == str(gpt2)
        recorded = (spec.kind, spec.model, spec.hook_name, spec.d_in, spec.weight_processing, spec.dtype)
        assert recorded == ("transformer_lens", "gpt2", "blocks.1.hook_out", D_MODEL, "raw", "float32")
        assert (spec.prepend_bos, spec.bos_between_documents, spec.context_size) == (True, True, 16)

    def test_aliases_and_layers_compare_equal(self, folder):
        specs = [
            next(iter(source.specs.values()))
            for source in (
                opened(folder, layer=2),
                opened(folder, "blocks.2.hook_resid_post"),
                opened(folder, "blocks.2.hook_out"),
            )
        ]
        assert specs[0] == specs[1] == specs[2]

    def test_a_copy_is_the_same_model_and_other_weights_are_not(self, gpt2, tmp_path):
        (spec,) = opened(gpt2).specs.values()
        copy = shutil.copytree(gpt2, tmp_path / "gpt2")
        require_same_source(spec, next(iter(source_of(copy).specs.values())), what="two copies")
        weights = (copy / "model.safetensors").read_bytes()
        (copy / "model.safetensors").write_bytes(weights[:-2] + b"\x01\x02")
        assert next(iter(source_of(copy).specs.values())).revision != spec.revision

    def test_a_bridge_from_the_folder_is_the_same_source(self, gpt2):
        from transformer_lens.model_bridge import TransformerBridge

        bridge = TransformerBridge.boot_transformers(str(gpt2), device="cpu")
        by_bridge, by_folder = source_of(bridge), source_of(gpt2)
        assert by_bridge.specs == by_folder.specs
        batch = whole_batch(by_folder)
        for one, other in zip(
            by_bridge.activations(batch).values(), by_folder.activations(batch).values(), strict=True
        ):
            assert torch.equal(one, other)

    def test_a_bridge_from_memory_is_known_by_its_parameters(self, gpt2, tmp_path):
        from transformer_lens.model_bridge import TransformerBridge
        from transformers import AutoModelForCausalLM, AutoTokenizer

        def revision(change: float) -> str:
            model = AutoModelForCausalLM.from_pretrained(gpt2)
            model.transformer.h[0].mlp.c_fc.bias.data += change
            tokenizer = AutoTokenizer.from_pretrained(gpt2)
            bridge = TransformerBridge.boot_transformers("mine", hf_model=model, tokenizer=tokenizer, device="cpu")
            return next(iter(source_of(bridge).specs.values())).revision

        assert revision(0.0) == revision(0.0) != revision(1e-3)

    def test_a_bridge_in_training_mode_is_put_in_evaluation_mode(self, gpt2):
        from transformer_lens.model_bridge import TransformerBridge

        bridge = TransformerBridge.boot_transformers(str(gpt2), device="cpu")
        bridge.train()
        source = source_of(bridge)
        batch = whole_batch(source)
        first, second = (next(iter(source.activations(batch).values())) for _ in range(2))
        assert torch.equal(first, second)

    def test_compatibility_mode_is_recorded_keeps_the_predictions_and_changes_the_activations(self, gpt2):
        raw, processed = opened(gpt2), source_of(gpt2, compatibility_mode=True)
        (spec,) = processed.specs.values()
        assert (spec.weight_processing, spec.hook_name) == ("compatibility", "blocks.2.hook_out")
        assert spec.revision == next(iter(raw.specs.values())).revision
        batch = whole_batch(raw)
        with torch.no_grad():
            expected = raw.logits(batch).log_softmax(dim=-1)[batch.keep]
            found = processed.logits(batch).log_softmax(dim=-1)[batch.keep]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        (centred,) = processed.activations(batch).values()
        assert centred[batch.keep].mean(dim=-1).abs().max() < 1e-4
        assert next(iter(raw.activations(batch).values()))[batch.keep].mean(dim=-1).abs().max() > 1e-2

    def test_a_base_checkpoint_has_no_language_head(self, tiny_model, tmp_path):
        from transformers import AutoModel, AutoTokenizer

        AutoModel.from_pretrained(tiny_model("llama")).save_pretrained(tmp_path / "base")
        AutoTokenizer.from_pretrained(tiny_model("llama")).save_pretrained(tmp_path / "base")
        source = source_of(tmp_path / "base")
        assert not source.has_language_head and source.unembedding() is None

    def test_it_is_a_patchable_source(self, gpt2):
        source = opened(gpt2)
        assert isinstance(source, ActivationSource) and isinstance(source, PatchableSource)


class TestErrors:
    def test_an_unknown_hook_lists_the_nearest(self, gpt2):
        with pytest.raises(SourceError, match=r"no hook 'blocks\.1\.resid_post'.*blocks\.1\.hook_resid_post"):
            opened(gpt2, "blocks.1.resid_post")
        source = opened(gpt2)
        with pytest.raises(SourceError, match="no hook 'nowhere'"):
            source.logits(whole_batch(source), {"nowhere": lambda x, keep: x})

    @pytest.mark.parametrize("layer", [4, 100, -1])
    def test_a_layer_out_of_range(self, gpt2, layer):
        with pytest.raises(SourceError, match=rf"no layer {layer}: the model has 4 layers, 0 to 3"):
            opened(gpt2, layer=layer)

    def test_a_hook_of_a_layer_out_of_range(self, gpt2):
        with pytest.raises(SourceError, match=r"the model has 4 layers, blocks\.0 to blocks\.3"):
            opened(gpt2, "blocks.12.hook_resid_post")

    @pytest.mark.parametrize("hook", ["blocks.1.attn.hook_pattern", "blocks.0.attn.hook_attn_scores"])
    def test_a_hook_without_a_row_a_position(self, gpt2, hook):
        with pytest.raises(SourceError, match="a row of numbers a position"):
            opened(gpt2, hook)

    def test_a_hook_that_never_fires(self, gpt2):
        with pytest.raises(SourceError, match="without reaching"):
            opened(gpt2, "blocks.1.attn.hook_result")

    @pytest.mark.parametrize(
        "settings",
        [
            {"layer": 1, "hook_names": ["blocks.1.hook_out"]},
            {"hook_names": []},
            {"layer": 1, "context_size": N_CONTEXT + 1},
            {"layer": 1, "context_size": 2},
            {"layer": 1, "batch_size": 0},
            {"layer": 1, "dtype": "float8"},
            {"layer": 1, "revision": "main"},
        ],
    )
    def test_settings_that_cannot_be(self, gpt2, settings):
        with pytest.raises(ConfigError):
            source_of(gpt2, **settings)

    def test_no_hook_at_all(self, gpt2):
        with pytest.raises(ConfigError, match="exactly one of the three"):
            TransformerLensSource(gpt2)

    @pytest.mark.parametrize("missing", [Path("models/absent"), "./absent", "/absent/model", "a/b/c"])
    def test_a_missing_folder(self, missing):
        with pytest.raises(SourceError, match="there is no folder"):
            source_of(missing)

    def test_a_folder_without_a_model(self, tmp_path):
        (tmp_path / "notes.txt").write_text("x")
        with pytest.raises(SourceError, match=r"holds no config\.json.*it holds notes\.txt"):
            source_of(tmp_path)

    def test_a_folder_without_weights(self, gpt2, tmp_path):
        folder = shutil.copytree(gpt2, tmp_path / "bare")
        (folder / "model.safetensors").unlink()
        with pytest.raises(SourceError, match="could not open the folder"):
            source_of(folder)

    def test_a_folder_without_a_tokenizer(self, gpt2, tmp_path):
        folder = shutil.copytree(gpt2, tmp_path / "mute")
        for file in folder.glob("tokenizer*"):
            file.unlink()
        source = source_of(folder)
        assert not source.has_tokenizer and {spec.tokenizer for spec in source.specs.values()} == {""}
        with pytest.raises(
            SourceError, match=r"the model has no tokenizer for text \('some text'\).*tokenized already"
        ):
            list(source.contexts([Document("0", "some text")]))
        with pytest.raises(SourceError, match="has no tokenizer"):
            _ = source.tokenizer
        own = source_of(gpt2, prepend_bos=False)
        ids = tuple(own.tokenizer("some text, and more text", add_special_tokens=False)["input_ids"])
        (given,) = source.contexts([Document("0", "", ids)])
        (from_text,) = own.contexts([Document("0", "some text, and more text")])
        assert torch.equal(given.token_ids[given.keep], from_text.token_ids[from_text.keep])
        assert torch.equal(given.keep, from_text.keep)

    def test_documents_that_are_tokenized_already(self, gpt2, tmp_path):
        source = source_of(gpt2)
        texts = ["some text", "", "more of it, and more"]
        rows = [{"input_ids": source.tokenizer(text, add_special_tokens=False)["input_ids"]} for text in texts]
        (tmp_path / "ids.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        pq.write_table(
            pa.Table.from_pylist(rows, schema=pa.schema({"input_ids": pa.list_(pa.int64())})), tmp_path / "ids.parquet"
        )
        (as_text,) = source.contexts(string_documents(texts))
        for documents in (
            jsonl_documents(tmp_path / "ids.jsonl", text="input_ids"),
            parquet_documents(tmp_path / "ids.parquet", text="input_ids"),
        ):
            (batch,) = source.contexts(documents)
            for name in ("token_ids", "document", "offset", "keep"):
                assert torch.equal(getattr(batch, name), getattr(as_text, name)), name
        (tmp_path / "bad.jsonl").write_text('{"input_ids": [1, -2]}\n')
        with pytest.raises(CorpusError, match=r"holds list \[1, -2\], neither text nor token ids"):
            list(jsonl_documents(tmp_path / "bad.jsonl", text="input_ids"))
        with pytest.raises(SourceError, match=r"the text has token id 999999"):
            list(source.contexts([Document("0", "", (999999,))]))

    def test_a_hub_name_without_a_network(self):
        with pytest.raises(SourceError, match="could not open 'nobody/nothing' from the hub"):
            source_of("nobody/nothing")

    def test_a_bridge_keeps_its_own_dtype(self, gpt2):
        bridge = source_of(gpt2).model
        with pytest.raises(ConfigError, match="dtype = 'bfloat16'"):
            source_of(bridge, dtype="bfloat16")
        with pytest.raises(ConfigError, match="compatibility_mode"):
            source_of(bridge, compatibility_mode=True)

    def test_a_plain_module_is_pointed_to_module_source(self):
        with pytest.raises(SourceError, match="ModuleSource"):
            source_of(torch.nn.Linear(2, 2), layer=0)


def test_importing_the_source_does_not_import_transformer_lens():
    code = "import sys, msae.activations.transformer_lens; assert 'transformer_lens' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_hub_model_in_the_cache_opens_without_a_network_and_is_known_by_its_commit(gpt2, tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(gpt2, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    code = (
        "from msae.activations.transformer_lens import TransformerLensSource as Source\n"
        "for revision in (None, 'main', '" + commit + "'):\n"
        "    source = Source('someone/tiny', layer=0, context_size=8, device='cpu', revision=revision)\n"
        "    (spec,) = source.specs.values()\n"
        "    print(spec.model, spec.revision, spec.model_path or 'no folder')\n"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [f"someone/tiny {commit} no folder"] * 3
