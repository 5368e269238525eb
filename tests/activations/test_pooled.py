"""One row a document: the pooled activations of transformers itself, in the documents' order."""

from __future__ import annotations

import pytest
import torch

from msae.activations.harvest import harvest
from msae.activations.pooled import POOLINGS, PooledSource
from msae.activations.reopen import reopen, reopen_pooled
from msae.activations.transformer_lens import TransformerLensSource
from msae.core.errors import ConfigError, CorpusError, MismatchError, SourceError
from msae.core.spec import require_same_source
from msae.data.documents import string_documents

TEXTS = ["the cat sat on the mat", "a mat", "the dog ran after the cat until the cat was gone", "the dog"]


def source_of(folder, **settings) -> TransformerLensSource:
    return TransformerLensSource(folder, layer=3, **{"context_size": 24, "batch_size": 3, "device": "cpu"} | settings)


def rows_of(source: PooledSource, texts=TEXTS) -> torch.Tensor:
    return torch.cat([source.rows(batch) for batch in source.contexts(string_documents(texts))])


def hidden_states(folder, text: str) -> torch.Tensor:
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    ids = tokenizer(text)["input_ids"]
    if tokenizer.cls_token is None:
        ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]
    with torch.no_grad():
        return model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_an_encoders_rows_are_the_pooled_states_of_transformers(pooling, tiny_bert):
    rows = rows_of(PooledSource(source_of(tiny_bert), pooling))
    assert rows.shape == (len(TEXTS), 32)
    for row, text in zip(rows, TEXTS, strict=True):
        states = hidden_states(tiny_bert, text)
        expected = {"mean": states.mean(0), "text": states[1:-1].mean(0), "cls": states[0], "last": states[-1]}[pooling]
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)


def test_a_causal_models_row_is_that_of_its_last_token(tiny_model):
    folder = tiny_model("llama")
    source = PooledSource(source_of(folder, context_size=60))
    assert source.pooling == "last"
    # The residual stream after the last block, before the final norm: seen without pooling on one document at a time.
    plain = source_of(folder, context_size=60)
    rows = rows_of(source)
    for row, text in zip(rows, TEXTS, strict=True):
        (batch,) = plain.contexts(string_documents([text]))
        (states,) = plain.activations(batch).values()
        torch.testing.assert_close(row, states[0][batch.keep[0]][-1], rtol=1e-4, atol=1e-5)


def test_batches_of_any_size_give_the_same_rows(tiny_bert):
    one, three = (rows_of(PooledSource(source_of(tiny_bert, batch_size=size))) for size in (1, 3))
    torch.testing.assert_close(one, three, rtol=1e-5, atol=1e-6)


def test_a_store_holds_a_row_a_document_in_order(tiny_bert, tmp_path):
    source = PooledSource(source_of(tiny_bert))
    options = {"path": tmp_path / "acts", "dtype": "float32", "holdout_tokens": 0, "progress": False}
    store = harvest(source, string_documents(TEXTS), n_tokens=len(TEXTS), **options)
    assert store.tokens(0, store.n_rows).document.tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(store.rows(0, store.n_rows), rows_of(source))
    assert (store.spec.kind, store.spec.pooling) == ("pooled", "mean")
    again = reopen_pooled(store.spec, device="cpu")
    torch.testing.assert_close(rows_of(again), rows_of(source))
    with pytest.raises(SourceError, match="kind 'pooled'"):
        reopen(store.spec)


def test_pooled_rows_are_not_taken_for_others(tiny_bert):
    plain, pooled = source_of(tiny_bert), PooledSource(source_of(tiny_bert), "cls")
    (a,), (b,) = plain.specs.values(), pooled.specs.values()
    with pytest.raises(MismatchError, match="pooling: '' != 'cls'"):
        require_same_source(a, b, what="these")
    with pytest.raises(SourceError, match="harvest them with"):
        reopen_pooled(a)


def test_every_hook_of_a_source_is_pooled(tiny_bert):
    hooks = ["blocks.1.hook_resid_post", "blocks.3.hook_resid_post"]
    source = PooledSource(TransformerLensSource(tiny_bert, hook_names=hooks, context_size=24, device="cpu"))
    (batch,) = source.contexts(string_documents(TEXTS))
    found = source.activations(batch)
    assert len(found) == len(source.specs) == 2
    kept = found["blocks.3.hook_out"][batch.keep]
    torch.testing.assert_close(kept, rows_of(PooledSource(source_of(tiny_bert))))


@pytest.mark.parametrize("texts", [["", "a mat"], ["a mat", "", "a mat"], ["a mat", "the dog", "a mat", ""]])
def test_a_document_without_text_is_named(texts, tiny_bert):
    with pytest.raises(CorpusError, match=rf"'text\[{texts.index('')}\]' .* not one token"):
        rows_of(PooledSource(source_of(tiny_bert)), texts)


def test_a_document_longer_than_a_context_is_named_or_cut(tiny_bert):
    texts = ["a mat", "the cat " * 30, "the dog"]
    with pytest.raises(CorpusError, match=r"'text\[1\]' is longer than a context of 24"):
        rows_of(PooledSource(source_of(tiny_bert)), texts)
    for size in (1, 2, 5):
        rows = rows_of(PooledSource(source_of(tiny_bert, batch_size=size), long="cut"), texts)
        short = ["a mat", "the cat " * 11, "the dog"]
        torch.testing.assert_close(rows, rows_of(PooledSource(source_of(tiny_bert)), short), rtol=1e-5, atol=1e-6)


def test_other_poolings_are_refused(tiny_bert):
    for settings in ({"pooling": "max"}, {"long": "split"}):
        with pytest.raises((ConfigError, TypeError)):
            PooledSource(source_of(tiny_bert), **settings)
