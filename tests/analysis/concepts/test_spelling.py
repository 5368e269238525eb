"""Prompts that ask for a word's first letter, read by a real tokenizer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from msae.activations.transformer_lens import TransformerLensSource
from msae.analysis.concepts.spelling import ASKS, spelling_prompts, vocabulary_words
from msae.analysis.interventions.one_context import whole_context
from msae.analysis.sample import token_text
from msae.core.errors import EvaluationError


@pytest.fixture(scope="module")
def source(speller):
    return TransformerLensSource(speller.untaught, layer=0, context_size=80, device="cpu")


@pytest.fixture(scope="module")
def vocabulary(source):
    return token_text(source.tokenizer).texts


@pytest.fixture(scope="module")
def read(source):
    return lambda text: whole_context(source, text)


def said(source, prompts) -> list[str]:
    return ["".join(source.token_strings(row[1:])) for row in prompts.contexts.token_ids.tolist()]


def test_words_are_tokens_of_lower_case_letters():
    texts = ["<bos>", " tartan", "ing", " of", " Mirth", " a1b", " mirth", "##s"]
    assert vocabulary_words(texts, blank=True) == {" tartan": 1, " mirth": 6}
    assert vocabulary_words(texts, blank=False) == {"ing": 2}


def test_a_prompt_shows_examples_and_asks_for_a_word(source, read, vocabulary, speller):
    prompts = spelling_prompts(read, vocabulary, most=4, longest=80, seed=3)
    assert prompts.letters == speller.letters and len(prompts) == 4 * len(speller.letters)
    for i, text in enumerate(said(source, prompts)):
        *examples, asked = text.split("\n")
        assert asked == prompts.words[i] + ASKS and prompts.words[i] in speller.words
        assert prompts.letters[prompts.letter[i]] == prompts.words[i][1]
        shown = [line.removesuffix(f" {line[1].upper()}").removesuffix(ASKS) for line in examples]
        assert len(set(shown)) == 9 and prompts.words[i] not in shown and set(shown) <= set(speller.words)
        assert source.token_strings([int(prompts.contexts.token_ids[i, prompts.place])]) == [prompts.words[i]]
    assert source.token_strings(prompts.answers.tolist()) == [f" {letter.upper()}" for letter in speller.letters]
    contexts = prompts.contexts
    assert contexts.keep[:, 1:].all() and not contexts.keep[:, 0].any() and contexts.attention.all()


def test_as_many_examples_as_fit_and_at_most_ten(read, vocabulary):
    for longest, n in ((80, 9), (23, 2), (15, 1)):
        prompts = spelling_prompts(read, vocabulary, most=3, longest=longest)
        assert prompts.contexts.token_ids.shape[1] == 7 + 8 * n <= longest
    with pytest.raises(EvaluationError, match="14 tokens has no room for one example of 8"):
        spelling_prompts(read, vocabulary, most=1, longest=14)


@pytest.mark.parametrize("size", [4, 7, 14])
def test_a_context_too_short_for_an_example_is_said_so(speller, vocabulary, size):
    short = TransformerLensSource(speller.untaught, layer=0, context_size=size, device="cpu")
    with pytest.raises(EvaluationError, match=f"a context of {size} tokens has no room for ' "):
        spelling_prompts(lambda text: whole_context(short, text), vocabulary, most=2, longest=size)


def test_the_same_seed_draws_the_same_prompts(read, vocabulary):
    first, again, other = (spelling_prompts(read, vocabulary, most=3, longest=60, seed=seed) for seed in (0, 0, 1))
    assert first.words == again.words and torch.equal(first.contexts.token_ids, again.contexts.token_ids)
    assert first.words != other.words


def test_a_word_that_is_split_where_it_stands_is_left_out(read, vocabulary, speller):
    split = [text if text != " bell" else "" for text in vocabulary]
    split[2] = " bell"  # what is read there is another token
    prompts = spelling_prompts(read, split, most=20, longest=40)
    assert set(speller.words) - set(prompts.words) == {" bell"} and set(prompts.words) < set(speller.words)


def test_without_words_or_letters_of_one_token_there_is_no_prompt(gpt2, read, vocabulary):
    source = gpt2()  # it reads bytes
    texts = token_text(source.tokenizer).texts
    with pytest.raises(EvaluationError, match="0 letters and 0 words"):
        spelling_prompts(lambda text: whole_context(source, text), texts, most=4, longest=24)
    unlettered = ["<unk>" if len(text.strip()) == 1 else text for text in vocabulary]
    with pytest.raises(EvaluationError, match="0 letters and 0 words"):
        spelling_prompts(read, unlettered, most=4, longest=24)


def test_the_margin_is_the_right_letters_logit_above_the_mean_of_the_others(read, vocabulary):
    prompts = spelling_prompts(read, vocabulary, most=1, longest=40)
    prompts = replace(prompts.select(torch.tensor([1, 0])), answers=torch.tensor([4, 2, 0, 1, 3]))
    last = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 9.0], [6.0, 1.0, 0.0, 2.0, 8.0, 9.0]])
    assert prompts.letter.tolist() == [1, 0]
    assert prompts.margin(last).tolist() == [3.0 - 12.0 / 4, 8.0 - 9.0 / 4]
