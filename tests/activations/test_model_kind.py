import pytest
import torch

from msae.activations.transformer_lens import TransformerLensSource
from msae.core.errors import SourceError


def saved(model, tokenizer_of, path):
    from transformers import AutoTokenizer

    model.save_pretrained(path)
    AutoTokenizer.from_pretrained(tokenizer_of).save_pretrained(path)
    return path


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_an_encoder_decoder_is_refused_with_the_way_out(kind, tiny_model, tmp_path):
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    sizes = {
        "t5": dict(d_kv=8, d_ff=64, num_layers=2, num_decoder_layers=2, num_heads=4),
        "bart": dict(
            encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
            encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64, forced_eos_token_id=None,
        ),
    }  # fmt: skip
    config = AutoConfig.for_model(
        kind, vocab_size=300, d_model=32, decoder_start_token_id=1, pad_token_id=1, eos_token_id=0, bos_token_id=0,
        **sizes[kind],
    )  # fmt: skip
    path = saved(AutoModelForSeq2SeqLM.from_config(config), tiny_model("gpt2"), tmp_path / kind)
    with pytest.raises(SourceError, match=rf"encoder-decoder \({kind}\).*ModuleSource"):
        TransformerLensSource(path, layer=1, context_size=16, device="cpu")


class TestHeads:
    """Whether a language head is there is told by the checkpoint's tensors."""

    @pytest.mark.parametrize(
        ("saved_as", "tied", "there"),
        [
            ("LlamaForCausalLM", False, True),
            ("LlamaForCausalLM", True, True),
            ("LlamaModel", False, False),
            ("LlamaModel", True, True),  # the head is the embedding, which is there
            ("LlamaForSequenceClassification", False, False),
            ("LlamaForTokenClassification", False, False),
            ("GPTNeoXForTokenClassification", False, False),
            ("GPT2LMHeadModel", True, True),
            ("GPT2ForSequenceClassification", True, True),
        ],
    )
    def test_a_head_is_there_when_its_tensor_is(self, saved_as, tied, there, tiny_model, tmp_path):
        import transformers

        architecture = {"L": "llama", "GPTN": "gpt_neox", "GPT2": "gpt2"}[saved_as[: 4 if saved_as[0] == "G" else 1]]
        model_class = getattr(transformers, saved_as)
        config = transformers.AutoConfig.from_pretrained(tiny_model(architecture), tie_word_embeddings=tied)
        path = saved(model_class(config), tiny_model(architecture), tmp_path / saved_as)
        source = TransformerLensSource(path, layer=1, context_size=16, device="cpu")
        assert source.has_language_head == there
        assert (source.unembedding() is not None) == there
        again = TransformerLensSource(source.model, layer=1, context_size=16)
        assert again.has_language_head == there

    def test_a_class_s_name_does_not_decide(self, tiny_model, tmp_path):
        """A reward model whose config was edited to claim a language model's class."""
        import json

        import transformers

        config = transformers.AutoConfig.from_pretrained(tiny_model("llama"))
        path = saved(transformers.LlamaForSequenceClassification(config), tiny_model("llama"), tmp_path / "claims")
        content = json.loads((path / "config.json").read_text()) | {"architectures": ["LlamaForCausalLM"]}
        (path / "config.json").write_text(json.dumps(content))
        assert not TransformerLensSource(path, layer=1, context_size=16, device="cpu").has_language_head

    def test_a_model_in_memory_is_taken_at_its_word(self, tiny_model):
        from transformer_lens.model_bridge import TransformerBridge
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = AutoModelForCausalLM.from_pretrained(tiny_model("llama"))
        tokenizer = AutoTokenizer.from_pretrained(tiny_model("llama"))
        bridge = TransformerBridge.boot_transformers("mine", hf_model=model, tokenizer=tokenizer, device="cpu")
        assert TransformerLensSource(bridge, layer=1, context_size=16).has_language_head

    def test_a_checkpoint_that_lacks_part_of_the_model_is_refused(self, tiny_model, tmp_path):
        import shutil

        from safetensors.torch import load_file, save_file

        path = shutil.copytree(tiny_model("llama"), tmp_path / "cut")
        tensors = load_file(path / "model.safetensors")
        kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("model.layers.2.")}
        assert len(kept) < len(tensors)
        save_file(kept, path / "model.safetensors", {"format": "pt"})
        with pytest.raises(SourceError, match=r"lacks 9 of the model's tensors \(model\.layers\.2\.\S+, .*random"):
            TransformerLensSource(path, layer=1, context_size=16, device="cpu")


def test_two_openings_of_a_headless_checkpoint_agree_at_every_hook(tiny_model, tmp_path):
    """What is read before the head does not depend on the head."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(tiny_model("llama"))
    path = saved(transformers.LlamaForSequenceClassification(config), tiny_model("llama"), tmp_path / "rm")
    sources = [TransformerLensSource(path, layer=1, context_size=16, device="cpu") for _ in range(2)]
    ids = torch.arange(2, 14)[None]
    first, second = (source.model.run_with_cache(ids)[1]["blocks.3.hook_out"] for source in sources)
    assert torch.equal(first, second)
