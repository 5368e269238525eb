"""TransformerLensSource on BERT: [CLS] … [SEP], one document a context, attention in both directions."""

from __future__ import annotations

import pytest
import torch

from msae.activations.transformer_lens import TransformerLensSource
from msae.core.errors import ConfigError
from msae.data.documents import string_documents

PAD, UNK, CLS, SEP = 0, 1, 2, 3
TEXTS = ["the cat sat on the mat", "a dogs mat", "", "zebra", "the dog ran after the cat until the cat was gone"]
CONTEXT = 8


@pytest.fixture
def source(tiny_bert) -> TransformerLensSource:
    return TransformerLensSource(tiny_bert, layer=1, context_size=CONTEXT, batch_size=16, device="cpu")


def hidden_states(folder, batch):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        states = model(batch.token_ids, attention_mask=batch.attention.long(), output_hidden_states=True)
    return states.hidden_states


def test_contexts_are_cls_one_document_sep(source):
    (batch,) = source.contexts(string_documents(TEXTS))
    assert batch.document.amax(dim=1).tolist() == [0, 1, 3, 4, 4]
    for ids, document, attention in zip(batch.token_ids, batch.document, batch.attention, strict=True):
        length = int(attention.sum())
        assert ids[0] == CLS and ids[length - 1] == SEP and (ids[length:] == PAD).all()
        assert (document[1 : length - 1] >= 0).all() and (document[[0, length - 1]] == -1).all()


def test_the_unknown_token_stands_for_text_and_is_kept(source):
    (batch,) = source.contexts(string_documents(["the zebra sat"]))
    assert UNK in batch.token_ids[batch.keep].tolist()


def test_activations_are_the_hidden_states(source, tiny_bert):
    (batch,) = source.contexts(string_documents(TEXTS))
    (activations,) = source.activations(batch).values()
    expected = hidden_states(tiny_bert, batch)[2]
    real = batch.attention
    torch.testing.assert_close(activations[real], expected[real], rtol=1e-5, atol=1e-5)


def test_nothing_after_the_hook_is_run(source):
    ran = []
    for name, point in source.model.hook_dict.items():
        if name == point.name:
            point.add_hook(lambda tensor, hook: ran.append(hook.name))
    (batch,) = source.contexts(string_documents(TEXTS))
    source.activations(batch)
    assert {name.split(".")[1] for name in ran if name.startswith("blocks.")} == {"0", "1"}


def test_padding_and_the_rest_of_the_batch_change_nothing(source):
    (batch,) = source.contexts(string_documents(TEXTS))
    (together,) = source.activations(batch).values()
    for row in range(len(batch)):
        one = batch.select(torch.tensor([row]))
        (alone,) = source.activations(one).values()
        real = one.attention[0]
        torch.testing.assert_close(alone[0, real], together[row, real], rtol=1e-5, atol=1e-5)


def test_the_spec_and_the_head_that_is_not_there(source):
    (spec,) = source.specs.values()
    assert spec.prepend_bos and not spec.bos_between_documents and spec.hook_name == "blocks.1.hook_out"
    assert not source.is_causal and not source.has_language_head and source.unembedding() is None


def test_the_random_head_is_no_part_of_the_revision(tiny_bert):
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoTokenizer, BertForMaskedLM

    def revision() -> str:
        model = BertForMaskedLM.from_pretrained(tiny_bert)
        tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
        bridge = TransformerBridge.boot_transformers("mine", hf_model=model, tokenizer=tokenizer, device="cpu")
        return next(iter(TransformerLensSource(bridge, layer=0, context_size=CONTEXT).specs.values())).revision

    assert revision() == revision()


@pytest.fixture(scope="module")
def tiny_roberta(tmp_path_factory):
    """66 positions, of which two are taken by the padding id's convention."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    names = {
        "bos_token": "<s>",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=[*names.values()], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", **names)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    ids = dict(vocab_size=len(fast), pad_token_id=1, bos_token_id=0, eos_token_id=2, type_vocab_size=1)
    path = tmp_path_factory.mktemp("models") / "roberta"
    with torch.random.fork_rng():
        torch.manual_seed(11)
        RobertaForMaskedLM(RobertaConfig(**sizes, **ids, max_position_embeddings=66)).save_pretrained(path)
    fast.save_pretrained(path)
    return path


def test_a_roberta_reads_fewer_tokens_than_it_has_positions(tiny_roberta):
    with pytest.raises(ConfigError, match="context_size = 65: expected 3 to 64"):
        TransformerLensSource(tiny_roberta, layer=0, context_size=65, device="cpu")
    source = TransformerLensSource(tiny_roberta, layer=0, context_size=64, device="cpu")
    (batch,) = source.contexts(string_documents([" ".join(TEXTS * 8), "short"]))
    assert batch.attention[0].all()
    (activations,) = source.activations(batch).values()
    expected = hidden_states(tiny_roberta, batch)[1]
    torch.testing.assert_close(activations[batch.keep], expected[batch.keep], rtol=1e-5, atol=1e-5)
