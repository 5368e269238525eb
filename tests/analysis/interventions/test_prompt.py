from __future__ import annotations

import math

import pytest
import torch

from msae.activations.source import rows_kept
from msae.analysis.interventions.prompt import read_prompt
from msae.core.errors import EvaluationError, MismatchError
from msae.data.documents import string_documents
from msae.sae.metrics import fvu

TEXT = "the naïve cat 🐈 sat on a mat"  # 33 bytes, a token each: two contexts of the tiny model


@pytest.fixture
def source(gpt2):
    return gpt2()


@pytest.fixture
def sae(toys):
    return toys.random_sae(24, (4, 12, 40))


def test_codes_are_those_of_encode(source, sae):
    reading = read_prompt(source, sae, TEXT)
    (hook,) = source.specs
    batches = list(source.contexts(string_documents([TEXT])))
    x = torch.cat([rows_kept(batch, source.activations(batch)[hook]) for batch in batches])
    assert torch.equal(reading.codes.dense(), sae.encode_dense(x))
    for level in range(3):
        expected = (x - sae.reconstruct(x, level)).double().square().sum(1)
        assert torch.allclose(reading.squared_errors[level], expected, rtol=1e-4)


def test_fvu_is_that_of_the_metrics(source, sae):
    reading = read_prompt(source, sae, TEXT)
    (hook,) = source.specs
    x = torch.cat(
        [rows_kept(batch, source.activations(batch)[hook]) for batch in source.contexts(string_documents([TEXT]))]
    )
    assert reading.fvu == pytest.approx([fvu(x, sae.reconstruct(x, level)) for level in range(3)], rel=1e-5)


def test_one_token_has_no_fvu(source, sae):
    assert all(math.isnan(value) for value in read_prompt(source, sae, "a").fvu)


def test_the_texts_are_the_text(source, sae):
    reading = read_prompt(source, sae, TEXT)
    assert "".join(reading.texts) == TEXT
    assert len(reading.texts) == reading.codes.n_rows == len(reading.token_ids) == len(TEXT.encode()) > 24


def test_an_empty_text_is_refused(source, sae):
    with pytest.raises(EvaluationError, match="no token"):
        read_prompt(source, sae, "")


def test_an_sae_of_another_width_is_refused(source, toys):
    with pytest.raises(MismatchError, match="d_in = 10"):
        read_prompt(source, toys.random_sae(10, (4, 20)), TEXT)


def test_where_a_context_ends_is_known(source, sae):
    kept = [int(row.sum()) for batch in source.contexts(string_documents([TEXT])) for row in batch.keep]
    assert read_prompt(source, sae, TEXT).context_starts == (kept[0],) and len(kept) == 2
    assert read_prompt(source, sae, "a cat").context_starts == ()


def test_special_tokens_that_were_typed_are_kept_and_those_of_the_layout_are_not(source, sae):
    special = source.tokenizer.eos_token
    assert source.layout.opening is not None and read_prompt(source, sae, "a cat").specials == {}
    reading = read_prompt(source, sae, f"a{special}cat{special}")
    assert "".join(reading.texts) == "acat"
    assert reading.specials == {1: [special], len(reading.texts): [special]}


def test_a_text_of_too_many_tokens_is_refused(source, sae):
    n = len(read_prompt(source, sae, TEXT).texts)
    assert len(read_prompt(source, sae, TEXT, most=n).texts) == n
    with pytest.raises(EvaluationError, match=f"{n} tokens: give at most {n - 1}"):
        read_prompt(source, sae, TEXT, most=n - 1)
