"""Absorption of first letters through the model: it is prompted to spell words, and codes at their tokens are ablated.

``chanin_2409`` (Chanin et al. 2024, arXiv:2409.14507): the test that `absorbed.ablation` makes, with the effects that
ablating each code at the word's token has, by integrated gradients, on the logit of the right letter minus the mean
logit of the others. It is made on the words that the model spells (of another its logits tell nothing) and on whose
token the probe on the activations, rightly, says the letter. At a level the prefix alone is ablated: what it does not
explain stays as it is, so the model starts from its own logits.

The null gives every word the codes of another, drawn among all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.activations.source import PatchableSource
from msae.activations.transformer_lens import TransformerLensSource
from msae.analysis.concepts.absorbed import TokenCodes, ablation, silent
from msae.analysis.concepts.labelled import Labelled
from msae.analysis.concepts.spelling import SpellingPrompts, spelling_prompts
from msae.analysis.interventions.integrated_gradients import mean_gradient
from msae.analysis.interventions.one_context import whole_context
from msae.analysis.interventions.patching import recorded, vocabulary
from msae.analysis.sample import CodeTable, token_text
from msae.analysis.sample.pairing import evaluating, shared_hook
from msae.analysis.tables import Status
from msae.core.errors import MsaeError
from msae.core.progress import bar
from msae.core.rng import numpy_stream
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.codes import SparseCodes

MAX_LOGITS = 1 << 26
LEAST_SPELLED, TRIAL = 0.5, 64
"""The share of words a model must spell for its logits to stand for letters, and how many are tried first."""


@dataclass(frozen=True, kw_only=True)
class Spelling:
    """What the model spells. `words`: those it does; None where it was not prompted, for which `status` and `reason`
    say why."""

    words: SpelledWords | None = None
    status: Status = Status.NO_MODEL
    reason: str = ""

    @property
    def sentence(self) -> str:
        """In words."""
        if self.words is not None:
            return self.words.sentence()
        return f"n/a: {self.reason}" if self.reason else self.status.sentence


@torch.no_grad()
def spell_words(labelled: Labelled, *, most: int, batch_size: int = 32) -> Spelling:
    """Prompt the labelled rows' model for the first letters of up to `most` words a letter (0: not at all)."""
    source, sae, seed = labelled.source, labelled.sae, labelled.probes.settings.seed
    if most == 0 or not isinstance(source, TransformerLensSource) or not source.has_language_head:
        return Spelling()
    try:
        hook = shared_hook(sae, source, force=True)
        prompts = spelling_prompts(
            lambda text: whole_context(source, text),
            token_text(source.tokenizer).texts,
            most=most,
            longest=source.specs[hook].context_size,
            seed=seed,
        )
    except MsaeError as error:
        return Spelling(status=Status.NO_PROMPTS, reason=str(error))
    size = _at_once(source, prompts, batch_size)
    return Spelling(words=SpelledWords.of(source, hook, sae, prompts, size=size, seed=seed, progress=labelled.progress))


class SpelledWords:
    """The words a model spells, with the activations and codes at their tokens.

    `tried`: how many were tried, by letter. `x`: (words, d_in). `codes`: of all latents; `order`: whose codes a
    word is given for the null. `size`: prompts run at once.
    """

    def __init__(
        self,
        source: PatchableSource,
        hook_name: str,
        sae: SparseAutoencoder,
        prompts: SpellingPrompts,
        x: Float[Tensor, "words d_in"],
        *,
        tried: dict[str, int],
        size: int,
        seed: int,
    ) -> None:
        self.source, self.hook_name, self.sae, self.prompts, self.x = source, hook_name, sae, prompts, x
        self.tried, self.size = tried, size
        self.order = torch.from_numpy(numpy_stream(seed, "spelling/null").permutation(len(prompts)))
        self._gradients: dict[tuple[int, bool], Float[np.ndarray, "words d_in"]] = {}

    @classmethod
    def of(
        cls,
        source: PatchableSource,
        hook_name: str,
        sae: SparseAutoencoder,
        prompts: SpellingPrompts,
        *,
        size: int,
        seed: int = 0,
        progress: bool = False,
    ) -> SpelledWords:
        """Ask for the prompts' letters, in an order drawn by `seed`, and keep those of which the right one has the
        largest logit. A model that hardly spells any of the first `TRIAL` is given no more."""
        prompts = prompts.select(torch.from_numpy(numpy_stream(seed, "spelling/order").permutation(len(prompts))))
        spelled, x = torch.zeros(0, dtype=torch.bool), torch.zeros(0, sae.d_in, device=sae.device, dtype=sae.dtype)
        with bar("ask for letters", len(prompts), shown=progress) as advance, torch.no_grad():
            for index in torch.arange(len(prompts)).split(size):
                part = prompts.select(index)
                logits, seen = recorded(source, part.contexts, (hook_name,))
                right = part.logits(logits[:, -1]).argmax(dim=1).cpu() == part.letter
                spelled = torch.cat([spelled, right])
                x = torch.cat([x, seen[hook_name][:, part.place].to(x)])
                advance(len(part))
                if len(spelled) >= TRIAL and spelled.double().mean() < LEAST_SPELLED / 2:
                    break
        counts = torch.bincount(prompts.letter[: len(spelled)], minlength=len(prompts.letters)).tolist()
        return cls(
            source,
            hook_name,
            sae,
            prompts.select(spelled.nonzero()[:, 0]),
            x[spelled.to(x.device)],
            tried=dict(zip(prompts.letters, counts, strict=True)),
            size=size,
            seed=seed,
        )

    def of_letter(self, letter: str) -> Int[np.ndarray, " n"]:
        """The words that begin with `letter`."""
        return np.flatnonzero(self.prompts.letter.numpy() == self.prompts.letters.find(letter))

    @property
    def enough(self) -> bool:
        """Whether the model spells at all: one that always says B spells what begins with it."""
        return len(self.prompts) >= LEAST_SPELLED * sum(self.tried.values())

    def counts(self, letter: str | None = None) -> dict[str, int]:
        """How many words (of `letter`) the model was given, and how many of these it spells."""
        if letter is None:
            return {"n_tried": sum(self.tried.values()), "n_spelled": len(self.prompts)}
        return {"n_tried": self.tried.get(letter, 0), "n_spelled": len(self.of_letter(letter))}

    def sentence(self) -> str:
        """The same, in words."""
        counts = self.counts()
        return f"the model spells {counts['n_spelled']} of {counts['n_tried']} words"

    def found_by(self, weight: Float[Tensor, " d_in"], bias: float, letter: str) -> Int[np.ndarray, " n"]:
        """The words of `letter` at whose token a probe says so."""
        own = self.of_letter(letter)
        says = (self.x @ weight.to(self.x) + bias > 0).cpu().numpy()
        return own[says[own]]

    def absorbed(
        self,
        words: Int[np.ndarray, " n"],
        level: int,
        cosine: Float[np.ndarray, " d_sae"],
        main: Int[np.ndarray, " m"],
        *,
        null: bool = False,
    ) -> tuple[Bool[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """Which of `words` are absorbed at a level, and the latent whose ablation changes the logit most. `null`: all
        but the main latents have the codes, and the gradients, of the words drawn for them."""
        codes = self.codes_at(words, level)
        if null:
            codes = self.codes_at(words, level, null=True).with_own(codes, main)
        effect = np.zeros(codes.value.shape)
        silent_words = np.flatnonzero(silent(codes, main))  # where a main latent fires, nothing is absorbed
        gradient = self._mean_gradients(words[silent_words], level, null)
        latent = torch.from_numpy(codes.latent[silent_words]).to(self.sae.device)
        directions = self.sae.W_dec.detach()[latent].double().cpu().numpy()
        along = np.einsum("tid,td->ti", directions, gradient)
        effect[silent_words] = -codes.value[silent_words] * along
        return ablation(codes, cosine, effect, main)

    def codes_at(self, words: Int[np.ndarray, " n"], level: int, *, null: bool = False) -> TokenCodes:
        """The codes of the prefix of `level` at the words' tokens; `null`: at those of the words drawn for them."""
        whose = self.order.numpy()[words] if null else words
        own = TokenCodes(latent=self._codes.latent[whose], value=self._codes.value[whose])
        return own.below(self.sae.prefix_widths[level])

    @cached_property
    @torch.no_grad()
    def _encoded(self) -> SparseCodes:
        with evaluating(self.sae):
            return self.sae.encode(self.x)

    @cached_property
    def _codes(self) -> TokenCodes:
        return TokenCodes.of(CodeTable.of(self._encoded), np.arange(len(self.x)))

    @cached_property
    @torch.no_grad()
    def _explained(self) -> Float[Tensor, "level words d_in"]:
        """Σ_j f_j W_dec[j] over every level's prefix."""
        return self.sae.decode_levels(self._encoded) - self.sae.b_dec

    def _mean_gradients(self, words: Int[np.ndarray, " n"], level: int, null: bool) -> Float[np.ndarray, "n d_in"]:
        """Kept, since concepts of several kinds of word ask for the same."""
        kept = self._gradients.setdefault((level, null), np.full(tuple(self.x.shape), np.nan))
        missing = torch.from_numpy(words[np.isnan(kept[words, 0])])
        for index in missing.split(self.size) if len(missing) else ():
            part = self.prompts.select(index)
            whose = self.order[index] if null else index
            explained = self._explained[level, whose.to(self.x.device)]
            gradient = mean_gradient(self.source, self.hook_name, part.contexts, part.place, explained, part.margin)
            kept[index.numpy()] = gradient.double().cpu().numpy()
        return kept[words]


def _at_once(source: PatchableSource, prompts: SpellingPrompts, batch_size: int) -> int:
    """Prompts a pass: `batch_size`, or as many as have at most `MAX_LOGITS` logits."""
    n_logits = prompts.contexts.token_ids.shape[1] * vocabulary(source, prompts.contexts)
    return max(1, min(batch_size, MAX_LOGITS // n_logits))
