"""Sinks left out of a harvest: at bytes whose embedding is huge, and at first positions of a model without BOS."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

import msae
from msae.activations.synthetic import SyntheticForest, SyntheticSource
from msae.core.spec import WITHOUT_SINKS

FOREST = SyntheticForest(d_in=12, n_roots=4, root_rate=0.2, branching=(2,))
DOCUMENTS = [msae.Document(str(number), "") for number in range(200)]


class WithSinks:
    """A source in whose contexts one row in 50 has 1,000 times the norm."""

    def __init__(self, stops_after: int | None = None) -> None:
        self.inner, self.left = SyntheticSource(forest=FOREST, context_size=16), stops_after
        self.specs = self.inner.specs

    def contexts(self, documents):
        return self.inner.contexts(documents)

    def activations(self, batch):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left = None if self.left is None else self.left - 1
        number = batch.document * 16 + batch.offset
        factor = torch.where((number % 50 == 7) & batch.keep, 1000.0, 1.0)
        return {hook: x * factor[..., None] for hook, x in self.inner.activations(batch).items()}


def harvested(path, source=None, **settings):
    settings = {"n_tokens": 1200, "holdout_tokens": 300, "shard_rows": 200, "progress": False} | settings
    return msae.harvest(source or WithSinks(), DOCUMENTS, path=path, dtype="float32", **settings)


@pytest.mark.filterwarnings("ignore:.*above 10 x the median")
def test_what_is_left_out_at_once_is_what_is_left_out_afterwards(tmp_path):
    kept, without = harvested(tmp_path / "kept"), harvested(tmp_path / "without", leave_out_sinks=True)
    view = kept.ordinary()
    assert without.spec.special_rows == view.spec.special_rows == WITHOUT_SINKS
    assert 0 < kept.n_rows - view.n_rows < without.n_rows == 1200
    n = view.n_rows
    assert torch.equal(without.rows(0, n), view.rows(0, n))
    assert torch.equal(without.tokens(0, n).offset, view.tokens(0, n).offset)
    shared = min(without.holdout.n_rows, view.holdout.n_rows)
    assert torch.equal(without.holdout.rows(0, shared), view.holdout.rows(0, shared)) and shared > 200
    for own in (without, view):
        assert sum(int(batch.keep.sum()) for batch in own.holdout.contexts()) == own.holdout.n_rows
        assert not own.norm_summary.sinks_rule
    assert without.ordinary() is without
    assert msae.ActivationStore.open_for(without.path, without.spec).fingerprint == without.fingerprint


@pytest.mark.filterwarnings("ignore:.*above 10 x the median")
def test_a_harvest_without_sinks_that_was_stopped_goes_on_to_the_same_bytes(tmp_path):
    whole = harvested(tmp_path / "whole", leave_out_sinks=True)
    with pytest.raises(KeyboardInterrupt):
        harvested(tmp_path / "parts", WithSinks(stops_after=2), leave_out_sinks=True)
    with pytest.raises(msae.MsaeError, match="leave_out_sinks"):
        harvested(tmp_path / "parts")
    assert harvested(tmp_path / "parts", leave_out_sinks=True).fingerprint == whole.fingerprint


def test_without_bos_each_contexts_first_row_is_seen_and_left_out(tiny_model, tmp_path):
    """As in GPT-2, whose residual stream at position 0 has a norm many times that of the others."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model("gpt2"))
    with torch.no_grad():
        model.transformer.wpe.weight[0] *= 150
    model.save_pretrained(tmp_path / "model")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_model("gpt2"))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, eos_token="<|endoftext|>", pad_token="<pad>"
    ).save_pretrained(tmp_path / "model")
    source = msae.TransformerLensSource(tmp_path / "model", layer=1, context_size=16, device="cpu")
    assert not source.specs[next(iter(source.specs))].prepend_bos
    documents = msae.string_documents(["the cat sat on the mat and the dog ran after it until it was gone " * 3] * 12)
    with pytest.warns(UserWarning, match="above 10 x the median"):
        store = msae.harvest(source, documents, n_tokens=600, path=tmp_path / "acts", dtype="float32", progress=False)
    first = store.tokens(0, store.n_rows).position == 0
    sink = store.norms(0, store.n_rows) > store.norm_summary.sink_norm
    assert torch.equal(first, sink) and store.norm_summary.n_sinks == int(first.sum()) > 30
    view = store.ordinary()
    assert (view.tokens(0, view.n_rows).position > 0).all()
