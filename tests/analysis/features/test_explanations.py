from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from msae.activations.store import RowTokens
from msae.analysis.all_measurements import Explanations
from msae.analysis.features.collection import collect
from msae.analysis.features.explanations import half_of_documents
from msae.analysis.sample import ArrayRows, Origin, TokenText
from msae.analysis.tables import Status
from msae.core.errors import ConfigError

WORDS = ["def", "class", " name", "\n", "("]


@pytest.fixture(scope="module")
def text() -> TokenText:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="def"))
    return TokenText(PreTrainedTokenizerFast(tokenizer_object=tokenizer))


@pytest.fixture(scope="module")
def sample(build):
    """Latent 0 fires on `def`, 1 on names after `class`, 2 wherever a coin says so, 3 thrice, 4 never."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, len(WORDS), (1200,), generator=generator)
    row = torch.arange(1200)
    codes = torch.zeros(1200, 5)
    codes[ids == 0, 0] = 1
    after_class = (ids == 2) & (ids.roll(1) == 1) & (row % 50 > 0)
    codes[after_class, 1] = 1
    codes[torch.rand(1200, generator=generator) < 0.1, 2] = 1
    codes[:3, 3] = 1
    rows = ArrayRows(codes, RowTokens(token_id=ids, document=row // 50, offset=row % 50))
    return collect(build.sae_of(torch.eye(5), torch.eye(5), (2, 5)), rows)


@pytest.fixture(scope="module")
def rows(sample, text) -> list[dict]:
    result = Explanations().run(dataclasses.replace(sample, text=text))
    assert result.summary["explained"] == 3
    return result.tables["explanations"].to_pylist()


def test_a_latent_of_one_token(rows):
    assert rows[0]["explanation"] == "`def`"
    assert rows[0]["precision"] == rows[0]["recall"] == rows[0]["f1"] == 1


def test_a_latent_of_two_tokens_in_a_row(rows):
    assert rows[1]["explanation"] == "` name` after `class`"
    assert rows[1]["f1"] == rows[1]["fitted_f1"] == 1


def test_noise_is_not_explained(rows):
    assert rows[2]["status"] == Status.OK
    assert rows[2]["f1"] < 0.35


def test_scores_are_of_the_other_documents(rows, sample):
    fitted = half_of_documents(sample.origin, seed=0)
    fires = sample.codes.rows_of(0)
    assert rows[0]["n_fires"] == rows[0]["n_predicted"] == (~fitted[fires]).sum() < len(fires)


def test_too_few_and_never(rows):
    assert [row["status"] for row in rows] == [Status.OK, Status.OK, Status.OK, Status.FEW, Status.NEVER]
    assert rows[3]["explanation"] is rows[3]["f1"] is rows[4]["explanation"] is None


def test_without_text_it_says_so(sample):
    result = Explanations().run(sample)
    assert result.tables["explanations"]["status"].to_pylist() == [Status.NO_TEXT] * 4 + [Status.NEVER]
    assert result.summary == {"explained": 0, "with_f1_above_half": 0, "median_f1": None}


def test_a_latent_of_context_starts_says_so(build, text):
    """Contexts of 10 tokens, the first of which is mostly a break: not the breaks, but the starts."""
    generator = torch.Generator().manual_seed(3)
    ids, row = torch.randint(0, len(WORDS), (1200,), generator=generator), torch.arange(1200)
    ids[(row % 10 == 0) & (torch.rand(1200, generator=generator) < 0.7)] = 3
    codes = torch.zeros(1200, 2)
    codes[row % 10 == 0, 0] = codes[ids == 3, 1] = 1
    sae = build.sae_of(torch.eye(2), torch.eye(2), (1, 2))
    known = RowTokens(token_id=ids, document=row // 60, offset=row % 60, position=1 + row % 10)

    def explained(tokens):
        sample = dataclasses.replace(collect(sae, ArrayRows(codes, tokens)), text=text)
        return Explanations().run(sample).tables["explanations"].to_pylist()

    starts, breaks = explained(known)
    assert (starts["explanation"], starts["f1"]) == ("the first token of a context", 1)
    assert (breaks["explanation"], breaks["f1"]) == ("a line break", 1)
    assert explained(dataclasses.replace(known, position=None))[0]["f1"] < 0.7


def test_halves_are_of_whole_documents():
    document = np.repeat(np.arange(6), [5, 1, 9, 3, 2, 8]).astype(np.int32)
    origin = Origin(token_id=document, document=document, offset=document, names=list("abcdef"))
    half = half_of_documents(origin, seed=1)
    assert sum(half[document == d].all() for d in range(6)) == sum(not half[document == d].any() for d in range(6)) == 3
    one = Origin(token_id=document * 0, document=document * 0, offset=document, names=["a"])
    assert half_of_documents(one, seed=1).tolist() == [True] * 14 + [False] * 14


@pytest.mark.parametrize("settings", [{"most_tokens": 0}, {"least_gain": 1.5}, {"min_tokens": 1}])
def test_settings_out_of_range(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Explanations(**settings)
