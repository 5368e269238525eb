"""The lens on a text agrees with the figures that `evaluate` sums up."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from msae.activations.source import rows_kept
from msae.analysis.interventions.patching import put_rows, recorded
from msae.analysis.interventions.prompt import read_prompt
from msae.analysis.levels.lens import level_lens
from msae.analysis.levels.next_token import cross_entropy
from msae.core.errors import EvaluationError
from msae.data.documents import string_documents

TEXT = "the naïve cat 🐈 sat on a mat"  # 33 bytes, a token each: two contexts of the tiny model


@pytest.fixture
def source(gpt2):
    return gpt2()


@pytest.fixture
def sae(toys):
    sae = toys.random_sae(24, (4, 12, 40))
    with torch.no_grad():
        sae.b_dec.normal_()
    return sae


def test_summed_over_a_text_the_loss_is_the_cross_entropy_of_every_view(source, sae) -> None:
    lens = level_lens(source, sae, TEXT)
    (hook,) = source.specs
    sums = np.zeros(len(lens.loss))
    with torch.no_grad():
        for batch in source.contexts(string_documents([TEXT])):
            logits, seen = recorded(source, batch, (hook,))
            x = rows_kept(batch, seen[hook])
            replaced = [sae.b_dec.expand_as(x), *(sae.reconstruct(x, level) for level in range(3))]
            views = [source.logits(batch, {hook: put_rows(rows)}) for rows in replaced]
            sums += [cross_entropy(batch, each) for each in (*views, logits)]
    assert np.nansum(lens.loss, axis=1) == pytest.approx(sums, rel=1e-4)


def test_every_token_has_its_place_and_the_last_of_a_context_no_next_one(source, sae) -> None:
    lens, reading = level_lens(source, sae, TEXT), read_prompt(source, sae, TEXT)
    n, ids = len(reading.texts), reading.token_ids.tolist()
    assert lens.loss.shape == lens.choice.shape == (5, n)
    ends = {start - 1 for start in reading.context_starts} | {n - 1}
    assert [place for place in range(n) if lens.following[place] < 0] == sorted(ends)
    assert np.isnan(lens.loss).all(axis=0).tolist() == [place in ends for place in range(n)]
    assert all(lens.following[place] == ids[place + 1] for place in range(n) if place not in ends)


def test_a_model_without_a_head_has_no_lens(source, sae, monkeypatch) -> None:
    monkeypatch.setattr(type(source), "has_language_head", property(lambda self: False))
    with pytest.raises(EvaluationError, match="no lens"):
        level_lens(source, sae, TEXT)
