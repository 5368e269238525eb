"""What holds for every source of activations, and that every one can be harvested."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from msae.activations.arrays import ArraySource
from msae.activations.harvest import harvest
from msae.activations.module import ModuleSource
from msae.activations.source import ActivationSource, rows_kept
from msae.activations.synthetic import SyntheticForest, SyntheticSource
from msae.activations.transformer_lens import TransformerLensSource
from msae.core.rng import torch_stream
from msae.data.documents import string_documents

DOCUMENTS = string_documents([f"the cat sat on the mat {number} times, and the dog ran" for number in range(40)])


def language_model(request: pytest.FixtureRequest) -> ActivationSource:
    folder = request.getfixturevalue("tiny_model")("gpt2")
    return TransformerLensSource(folder, layer=1, context_size=16, batch_size=8, device="cpu")


def encoder(request: pytest.FixtureRequest) -> ActivationSource:
    folder = request.getfixturevalue("tiny_bert")
    return TransformerLensSource(folder, layer=1, context_size=16, batch_size=8, device="cpu")


def module(request: pytest.FixtureRequest) -> ActivationSource:
    convolution = nn.Conv2d(1, 5, 3, padding=1)
    images = torch.randn(40, 1, 4, 4, generator=torch_stream(0, "images"))
    return ModuleSource(nn.Sequential(convolution), "0", inputs=images, feature_dim=1, batch_size=8)


def array_of_rows(request: pytest.FixtureRequest) -> ActivationSource:
    return ArraySource(torch.randn(300, 7, generator=torch_stream(0, "rows")), batch_rows=40)


def array_of_sequences(request: pytest.FixtureRequest) -> ActivationSource:
    return ArraySource(torch.randn(40, 9, 7, generator=torch_stream(0, "sequences")), batch_rows=40)


def synthetic(request: pytest.FixtureRequest) -> ActivationSource:
    return SyntheticSource(forest=SyntheticForest(d_in=6, n_roots=2, branching=(2,)), context_size=8, batch_size=8)


SOURCES = [language_model, encoder, module, array_of_rows, array_of_sequences, synthetic]


@pytest.fixture(params=SOURCES, ids=lambda make: make.__name__)
def source(request) -> ActivationSource:
    make: Callable[[pytest.FixtureRequest], ActivationSource] = request.param
    return make(request)


def test_specs_describe_what_is_given(source):
    assert isinstance(source, ActivationSource)
    batch = next(iter(source.contexts(DOCUMENTS)))
    activations = source.activations(batch)
    assert list(activations) == list(source.specs)
    for hook, spec in source.specs.items():
        assert spec.hook_name == hook and spec.revision
        assert activations[hook].shape == (*batch.token_ids.shape, spec.d_in)
        assert str(activations[hook].dtype) == f"torch.{spec.dtype}"
        assert not activations[hook].requires_grad and activations[hook][batch.keep].isfinite().all()
        assert batch.token_ids.shape[1] == (spec.context_size or 1)


def test_contexts_are_the_same_each_time_and_trace_each_row_once(source):
    passes = [list(source.contexts(DOCUMENTS)) for _ in range(2)]
    assert len(passes[0]) == len(passes[1]) > 1
    origins = []
    for one, other in zip(*passes, strict=True):
        for name in ("token_ids", "document", "offset", "attention"):
            assert torch.equal(getattr(one, name), getattr(other, name))
        assert ((one.document < 0) == (one.offset < 0)).all() and one.attention[one.keep].all()
        origins += list(zip(one.document[one.keep].tolist(), one.offset[one.keep].tolist(), strict=True))
    assert len(origins) == len(set(origins)) and origins == sorted(origins)


def test_activations_are_the_same_each_time_and_for_a_selection(source):
    (hook,) = source.specs
    batch = next(iter(source.contexts(DOCUMENTS)))
    together = source.activations(batch)[hook]
    assert torch.equal(together, source.activations(batch)[hook])
    chosen = torch.tensor([3, 0])
    some = source.activations(batch.select(chosen))[hook]
    kept = batch.keep[chosen]
    torch.testing.assert_close(some[kept], together[chosen][kept], rtol=1e-5, atol=1e-5)


def test_a_harvest_keeps_every_row_and_its_origin(source, tmp_path):
    (hook,) = source.specs
    batches = list(source.contexts(DOCUMENTS))
    rows = torch.cat([rows_kept(batch, source.activations(batch)[hook]) for batch in batches])
    documents = torch.cat([batch.document[batch.keep] for batch in batches])
    store = harvest(
        source,
        DOCUMENTS,
        n_tokens=len(rows),
        holdout_tokens=0,
        path=tmp_path / "store",
        dtype="float32",
        progress=False,
    )
    assert store.spec == source.specs[hook] and store.n_rows == len(rows)
    torch.testing.assert_close(store.rows(0, len(rows)), rows.float())
    assert torch.equal(store.tokens(0, len(rows)).document.long(), documents)
