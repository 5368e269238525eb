"""Prompts that ask a model for the first letter of a word, in context, as Chanin et al. do (2024, arXiv:2409.14507)::

     tartan has the first letter: T
     mirth has the first letter: M
     …
     word has the first letter:

Words and answers are one token each, as there, so the token that ends a word holds its first letter too, and all
prompts have one length. The words are of the tokenizer's own vocabulary, in lower case: tokens that begin with a blank
(others are parts of words), or, where it makes the blank a part of the line break, those that do not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from string import ascii_lowercase

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.activations.source import ContextBatch
from msae.core.errors import EvaluationError
from msae.core.rng import numpy_stream

ASKS = " has the first letter:"
EXAMPLES = 10
WORD_TOKEN = re.compile(r" ?[a-z]{3,}")

Reader = Callable[[str], ContextBatch]
"""A text as the one context that a model reads it as, with BOS where it wants one; `EvaluationError` where it does not
fit."""


@dataclass(frozen=True, kw_only=True)
class SpellingPrompts:
    """Prompts of one length. `contexts`: they end where the letter comes next. `place`: the column of the word's
    token. `letter`: of each word, as a place in `letters`. `answers`: the token of each letter."""

    contexts: ContextBatch
    words: tuple[str, ...]
    place: int
    letters: str
    letter: Int[Tensor, " words"]
    answers: Int[Tensor, " letters"]

    def __len__(self) -> int:
        return len(self.words)

    def select(self, index: Int[Tensor, " n"]) -> SpellingPrompts:
        """The prompts at `index`."""
        return SpellingPrompts(
            contexts=self.contexts.select(index),
            words=tuple(self.words[i] for i in index.tolist()),
            place=self.place,
            letters=self.letters,
            letter=self.letter[index],
            answers=self.answers,
        )

    def logits(self, last: Float[Tensor, "words vocab"]) -> Float[Tensor, "words letters"]:
        """Of every letter, from the logits at the prompts' last position."""
        return last[:, self.answers.to(last.device)]

    def margin(self, last: Float[Tensor, "words vocab"]) -> Float[Tensor, " words"]:
        """The logit of the right letter minus the mean of the others'."""
        logits = self.logits(last)
        right = logits.gather(1, self.letter.to(last.device)[:, None])[:, 0]
        return right - (logits.sum(dim=1) - right) / (len(self.letters) - 1)


def vocabulary_words(texts: Sequence[str], *, blank: bool) -> dict[str, int]:
    """The words among the texts of a tokenizer's tokens that begin with a `blank` (or do not), each with its token."""
    return {
        text: token for token, text in enumerate(texts) if WORD_TOKEN.fullmatch(text) and text.startswith(" ") == blank
    }


def spelling_prompts(read: Reader, texts: Sequence[str], *, most: int, longest: int, seed: int = 0) -> SpellingPrompts:
    """A prompt for up to `most` words of each letter, drawn by `seed`, each behind examples of its own: up to 10 of the
    others, fewer where a context of `longest` tokens has no room for them.

    `texts`: of the tokenizer's tokens. A word that it splits where it stands is left out. Raises `EvaluationError` when
    no prompt is left: fewer than two letters or words are one token each, or not one example fits.
    """
    n_letters = n_words = 0
    for blank in (True, False):
        words = vocabulary_words(texts, blank=blank)
        answers = _answers(read, list(words), texts)
        drawn = [word for letter in answers for word in _drawn(read, words, letter, most, seed)]
        n_letters, n_words = max(n_letters, len(answers)), max(n_words, len(drawn))
        if len(answers) >= 2 and len(drawn) >= 2:
            return _prompts(read, {word: words[word] for word in drawn}, answers, longest, seed)
    raise EvaluationError(
        f"the tokenizer has {n_letters} letters and {n_words} words that are one token each in the prompt: "
        "two are needed"
    )


def _drawn(read: Reader, words: dict[str, int], letter: str, most: int, seed: int) -> list[str]:
    """Up to `most` words of a letter that are one token at the beginning of a line, of three times as many tried."""
    own = [word for word in words if _letter(word) == letter]
    order = numpy_stream(seed, f"spelling/words/{letter}").permutation(len(own))[: 3 * most]
    whole = (own[i] for i in order if _ends_in(read(_line(own[i]) + own[i]), words[own[i]]))
    return list(islice(whole, most))


def _prompts(read: Reader, words: dict[str, int], answers: dict[str, int], longest: int, seed: int) -> SpellingPrompts:
    names = list(words)
    n_examples = _fit(read, names, longest)
    first = names[0]
    n_after = read(first + ASKS).token_ids.shape[1] - read(first).token_ids.shape[1]
    texts = ["".join(map(_line, _examples(names, word, n_examples, seed))) + word + ASKS for word in names]
    prompts = dict(zip(names, map(read, texts), strict=True))
    length = Counter(context.token_ids.shape[1] for context in prompts.values()).most_common(1)[0][0]
    place = length - n_after - 1
    kept = {
        word: context
        for word, context in prompts.items()
        if context.token_ids.shape[1] == length and int(context.token_ids[0, place]) == words[word]
    }
    if not kept:
        raise EvaluationError("the tokenizer splits every word in the prompt: none is one token there")
    letters = "".join(answers)
    return SpellingPrompts(
        contexts=_stacked(list(kept.values())),
        words=tuple(kept),
        place=place,
        letters=letters,
        letter=torch.tensor([letters.index(_letter(word)) for word in kept]),
        answers=torch.tensor(list(answers.values())),
    )


def _ends_in(context: ContextBatch, token: int) -> bool:
    return int(context.token_ids[0, -1]) == token


def _letter(word: str) -> str:
    return word.strip()[0]


def _line(word: str) -> str:
    return f"{word}{ASKS} {_letter(word).upper()}\n"


def _answers(read: Reader, words: Sequence[str], texts: Sequence[str]) -> dict[str, int]:
    """The token that each letter is as an answer, of those letters that are one."""
    out: dict[str, int] = {}
    for word in words[:1]:
        prompt = read(word + ASKS).token_ids[0]
        for letter in ascii_lowercase:
            answered = read(f"{word}{ASKS} {letter.upper()}").token_ids[0]
            whole = len(answered) == len(prompt) + 1 and torch.equal(answered[:-1], prompt)
            if whole and texts[int(answered[-1])].strip() == letter.upper():
                out[letter] = int(answered[-1])
    return out


def _fit(read: Reader, words: Sequence[str], longest: int) -> int:
    """How many examples fit before the last word."""
    bare, one = (read(lines + words[0] + ASKS).token_ids.shape[1] for lines in ("", _line(words[1])))
    fit = min(EXAMPLES, len(words) - 1, (longest - bare) // max(one - bare, 1))
    if fit < 1:
        raise EvaluationError(f"a context of {longest} tokens has no room for one example of {one - bare} tokens")
    return fit


def _examples(words: Sequence[str], but: str, n: int, seed: int) -> list[str]:
    drawn = numpy_stream(seed, f"spelling/examples/{but}").choice(len(words), size=n + 1, replace=False)
    return [words[i] for i in drawn if words[i] != but][:n]


def _stacked(contexts: list[ContextBatch]) -> ContextBatch:
    names = ("token_ids", "document", "offset", "attention")
    return ContextBatch(**{name: torch.cat([getattr(context, name) for context in contexts]) for name in names})
