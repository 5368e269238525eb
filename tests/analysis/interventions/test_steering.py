from __future__ import annotations

import pytest
import torch

from msae.analysis.interventions.patching import recorded
from msae.analysis.interventions.steering import along, continue_text, tokens_after
from msae.core.errors import ConfigError, EvaluationError, SourceError
from msae.data.documents import string_documents

TEXT = "the cat"


@pytest.fixture
def source(gpt2):
    return gpt2()


@pytest.fixture
def sae(toys):
    return toys.random_sae(24, (4, 12, 40))


def greedily(source, text: str, n_tokens: int) -> list[int]:
    """The model's own likeliest tokens, by calls of the model alone."""
    batch = next(source.contexts(string_documents([text])))
    ids = batch.token_ids[:, batch.attention[0]]
    start = ids.shape[1]
    for _ in range(n_tokens):
        ids = torch.cat([ids, source.model(ids)[:, -1:].argmax(-1)], dim=1)
    return ids[0, start:].tolist()


@torch.no_grad()
def test_unsteered_it_writes_what_the_model_writes(source):
    written = continue_text(source, TEXT, n_tokens=8)
    assert list(written.token_ids) == greedily(source, TEXT, 8)
    assert written.text == "".join(written.texts)


@torch.no_grad()
def test_the_direction_is_added_at_every_token_but_the_special(source, sae):
    (hook,) = source.specs
    batch = next(source.contexts(string_documents([TEXT])))
    clean = recorded(source, batch, [hook])[1][hook]
    steered = along(sae, 7, 2.5)(clean, batch.keep)
    assert torch.equal(steered[~batch.keep], clean[~batch.keep])
    assert torch.allclose(
        (steered - clean)[batch.keep], 2.5 * sae.W_dec[7].expand(int(batch.keep.sum()), -1), atol=1e-6
    )


def test_steering_changes_what_is_written(source, sae):
    (hook,) = source.specs
    plain = continue_text(source, TEXT, n_tokens=12)
    assert continue_text(source, TEXT, n_tokens=12, replace={hook: along(sae, 7, 0)}) == plain
    assert continue_text(source, TEXT, n_tokens=12, replace={hook: along(sae, 7, 40)}) != plain


def test_the_same_seed_draws_the_same_tokens(source):
    def drawn(seed: int) -> tuple[int, ...]:
        return continue_text(source, TEXT, n_tokens=12, temperature=1.5, seed=seed).token_ids

    assert drawn(0) == drawn(0) != drawn(1)


def test_a_long_text_keeps_its_opening_and_its_end(source):
    """The window is 24 tokens: BOS and the last 23."""
    seen: list[torch.Tensor] = []
    logits = source.logits

    def watched(batch, replace=None):
        seen.append(batch.token_ids)
        return logits(batch, replace)

    source.logits = watched
    written = continue_text(source, "abcdefghijklmnopqrstuvw", n_tokens=4)  # 23 letters and BOS
    assert [len(ids[0]) for ids in seen] == [24] * 4
    assert all(ids[0, 0] == seen[0][0, 0] for ids in seen)
    assert seen[-1][0, -3:].tolist() == list(written.token_ids[:3])


def test_refusals(source, sae, toys):
    with pytest.raises(EvaluationError, match="no token"):
        continue_text(source, "")
    with pytest.raises(ConfigError, match="latent"):
        along(sae, 40, 1)
    with pytest.raises(ConfigError, match="temperature"):
        continue_text(source, TEXT, temperature=-1)


def test_a_model_without_a_head_is_refused(gpt2_folder, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    from msae.activations.transformer_lens import TransformerLensSource

    headless = AutoModel.from_pretrained(gpt2_folder)
    headless.config.tie_word_embeddings = False
    headless.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(gpt2_folder).save_pretrained(tmp_path)
    source = TransformerLensSource(tmp_path, layer=1, context_size=24, device="cpu")
    with pytest.raises(SourceError, match="writes nothing"):
        continue_text(source, TEXT)


def test_tokens_come_one_at_a_time(source):
    tokens = tokens_after(source, TEXT)
    assert [next(tokens) for _ in range(4)] == greedily(source, TEXT, 4)
    assert not torch.is_inference_mode_enabled() and torch.is_grad_enabled()
