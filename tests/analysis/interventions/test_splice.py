from __future__ import annotations

import dataclasses

import pytest
import torch

from msae.activations.source import PatchableSource, rows_kept
from msae.analysis.interventions.splice import splice
from msae.core.errors import ConfigError, MismatchError, SourceError
from msae.data.documents import string_documents
from msae.sae import SparseCodes

TEXT = string_documents(["the cat sat on the mat", "a dog", "and then another one"])


@pytest.fixture
def source(gpt2):
    return gpt2()


@pytest.fixture
def sae(toys):
    return toys.random_sae(24, (4, 12, 40))


@pytest.fixture
def batch(source):
    return next(source.contexts(TEXT))


def by_hand(source, sae, batch, level=None):
    """The logits with each kept row replaced by its reconstruction, worked out outside the model."""
    (hook,) = source.specs
    activations = source.activations(batch)[hook]
    reconstructed = activations.clone()
    reconstructed[batch.keep] = sae.reconstruct(rows_kept(batch, activations), level)
    return source.logits(batch, {hook: lambda *_: reconstructed})


@torch.no_grad()
@pytest.mark.parametrize("level", [None, 0, 1, 2])
def test_the_model_runs_on_the_reconstruction(source, sae, batch, level):
    expected = by_hand(source, sae, batch, level)
    with splice(source, sae, level=level) as spliced:
        assert isinstance(spliced, PatchableSource)
        assert torch.allclose(spliced.logits(batch), expected, atol=1e-5)
        # The source itself, and whoever calls its model, gets the same inside the block.
        assert torch.allclose(source.logits(batch), expected, atol=1e-5)
        attended = batch.attention[:, :, None]
        calls = source.model(batch.token_ids, attention_mask=batch.attention.long())
        assert torch.allclose(torch.where(attended, calls, 0), torch.where(attended, expected, 0), atol=1e-4)
    assert not torch.allclose(source.logits(batch), expected, atol=1e-2)


@torch.no_grad()
def test_everything_is_restored_even_after_an_error(source, sae, batch):
    clean = source.logits(batch)
    sae.train()
    with pytest.raises(RuntimeError, match="on purpose"), splice(source, sae):
        assert not sae.training
        assert not torch.allclose(source.logits(batch), clean, atol=1e-2)
        raise RuntimeError("on purpose")
    assert torch.equal(source.logits(batch), clean)
    assert sae.training


@torch.no_grad()
def test_special_positions_keep_their_activations(source, toys, batch):
    (hook,) = source.specs
    clean = source.activations(batch)[hook]
    with splice(source, toys.silent_sae(24)) as spliced:
        seen = spliced.activations(batch)[hook]
        logits = source.model(batch.token_ids)
    assert torch.equal(seen[~batch.keep], clean[~batch.keep])
    assert (seen[batch.keep] == 0).all()
    # Position 0 is BOS and sees nothing else: its prediction stands.
    assert torch.allclose(logits[:, 0], source.model(batch.token_ids)[:, 0], atol=1e-5)
    assert not torch.allclose(logits[:, 1], source.model(batch.token_ids)[:, 1], atol=1e-2)


@torch.no_grad()
def test_the_error_term(source, sae, batch):
    clean = source.logits(batch)
    with splice(source, sae, error_term=True) as spliced:
        assert torch.allclose(spliced.logits(batch), clean, atol=1e-4)
    with splice(source, sae, error_term=True, level=0) as spliced:
        assert torch.allclose(spliced.logits(batch), clean, atol=1e-4)


@torch.no_grad()
def test_an_edit_changes_the_codes_and_nothing_else(source, sae, batch):
    (hook,) = source.specs

    def without_latent_2(codes: SparseCodes) -> SparseCodes:
        return dataclasses.replace(codes, value=torch.where(codes.latent == 2, 0.0, codes.value))

    clean = rows_kept(batch, source.activations(batch)[hook])
    codes = sae.encode(clean).dense()
    with splice(source, sae, edit=without_latent_2, error_term=True) as spliced:
        seen = rows_kept(batch, spliced.activations(batch)[hook])
    assert (codes[:, 2] > 0).any()
    assert torch.allclose(seen, clean - codes[:, 2:3] * sae.W_dec[2], atol=1e-5)


def test_gradients_reach_the_sae_but_not_through_the_error_term(source, sae, batch):
    with splice(source, sae, error_term=True) as spliced:
        spliced.logits(batch).square().mean().backward()
    assert sae.W_dec.grad.abs().sum() > 0
    assert sae.W_enc.grad.abs().sum() > 0
    sae.zero_grad()


@torch.no_grad()
def test_replacements_of_the_caller_come_after(source, sae, batch):
    (hook,) = source.specs
    doubled = {hook: lambda activations, keep: 2 * activations}
    with splice(source, sae) as spliced:
        both = spliced.logits(batch, doubled)
        seen = rows_kept(batch, spliced.activations(batch)[hook])
    activations = source.activations(batch)[hook]
    assert torch.allclose(seen, sae.reconstruct(rows_kept(batch, activations)), atol=1e-5)
    by_hand = activations.clone()
    by_hand[batch.keep] = 2 * seen
    assert torch.allclose(both, source.logits(batch, {hook: lambda *_: by_hand}), atol=1e-4)


@torch.no_grad()
def test_any_patchable_source(bigram, toys):
    sae = toys.silent_sae(6)
    (batch,) = bigram.contexts(string_documents(["abc"]))
    with splice(bigram, sae) as spliced:
        logits = spliced.logits(batch)
    assert (logits[:, 1:] == 0).all()
    assert torch.equal(logits[:, 0], bigram.logits(batch)[:, 0])
    assert spliced.has_language_head
    assert next(spliced.contexts(string_documents(["abc"]))).token_ids.tolist() == batch.token_ids.tolist()


def test_refusals(source, bigram, toys, sae):
    with pytest.raises(ConfigError, match="levels 0 … 2"), splice(source, sae, level=3):
        pass
    sae.source = dataclasses.replace(next(iter(source.specs.values())), hook_name="blocks.0.hook_out")
    with pytest.raises(MismatchError, match="hook_name"), splice(source, sae):
        pass
    activations_alone = toys.HeadlessSource(bigram.embedding)
    with pytest.raises(SourceError, match="activations alone"), splice(activations_alone, toys.pair_sae(6)):
        pass
