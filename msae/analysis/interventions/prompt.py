"""What an SAE makes of a text typed in: the codes of every token."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.activations.source import ContextBatch, rows_kept
from msae.activations.transformer_lens import TransformerLensSource
from msae.analysis.sample import token_text
from msae.analysis.sample.pairing import evaluating, shared_hook
from msae.core.checked import checked
from msae.core.errors import EvaluationError
from msae.data.documents import string_documents
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.codes import SparseCodes
from msae.sae.metrics import deviation, squared_error, unexplained


@dataclass(frozen=True, kw_only=True)
class PromptReading:
    """A text as an SAE reads it: one row a token, special tokens left out.

    `texts` joined are the text as the model reads it, behind the blank that some tokenizers put before a text (the
    bytes of a character that tokens share stand at its last token). `codes`: of all latents. `squared_errors`:
    ‖x − x̂_g‖² of every level g and token; `squared_deviations`: ‖x − x̄‖², x̄ the mean over the text's own tokens.
    `specials`: special tokens that were typed, by the token they stand before (the number of tokens: at the end).
    `context_starts`: the tokens with which a context begins that does not see those before it.
    """

    token_ids: Int[Tensor, " tokens"]
    texts: list[str]
    codes: SparseCodes
    squared_errors: Float[Tensor, "level tokens"]
    squared_deviations: Float[Tensor, " tokens"]
    specials: Mapping[int, Sequence[str]] = field(default_factory=dict)
    context_starts: tuple[int, ...] = ()

    @property
    def fvu(self) -> list[float]:
        """Σ‖x − x̂_g‖² / Σ‖x − x̄‖² of every level g on this text alone; NaN for a text whose activations are all equal,
        such as one of a single token."""
        spread = self.squared_deviations.sum().item()
        return [unexplained(error, spread) for error in self.squared_errors.sum(1).tolist()]


@checked
@torch.no_grad()
def read_prompt(
    source: TransformerLensSource,
    sae: SparseAutoencoder,
    text: str,
    *,
    most: int | None = None,
    force: bool = False,
) -> PromptReading:
    """Run `text` through the model, cut into contexts as for a store, and encode its activations.

    Raises `EvaluationError` for a text without a token, or of more than `most` of them, `MismatchError` when the SAE
    was trained on another source (with `force`, warns).
    """
    hook = shared_hook(sae, source, force=force)
    batches = list(source.contexts(string_documents([text])))
    if not any(batch.keep.any() for batch in batches):
        raise EvaluationError(f"the text {text!r} has no token: type some")
    token_ids = torch.cat([batch.token_ids[batch.keep] for batch in batches])
    if most is not None and len(token_ids) > most:
        raise EvaluationError(f"the text has {len(token_ids):,} tokens: give at most {most:,}")
    x = torch.cat([rows_kept(batch, source.activations(batch)[hook]) for batch in batches]).to(sae.device, sae.dtype)
    with evaluating(sae):
        codes = sae.encode(x)
        errors = squared_error(x, sae.decode_levels(codes))
        deviations = deviation(x)
    specials, starts = _around(source, batches)
    return PromptReading(
        token_ids=token_ids,
        texts=token_text(source.tokenizer).passage(token_ids.numpy()),
        codes=codes.to("cpu"),
        squared_errors=errors.cpu(),
        squared_deviations=deviations.cpu(),
        specials=specials,
        context_starts=starts,
    )


def _around(
    source: TransformerLensSource, batches: Sequence[ContextBatch]
) -> tuple[dict[int, list[str]], tuple[int, ...]]:
    """The special tokens that were typed, by the token they stand before, and where contexts after the first begin.

    Those that a context opens and closes with were not typed.
    """
    layout, specials = source.layout, defaultdict[int, list[str]](list)
    starts: list[int] = []
    tokens = 0
    for batch in batches:
        for ids, keep, attended in zip(batch.token_ids, batch.keep, batch.attention, strict=True):
            places = attended.nonzero()[:, 0].tolist()
            if not places:
                continue
            added = {places[0]} if layout.opening is not None else set()
            added |= {places[-1]} if layout.closing is not None else set()
            if tokens:
                starts.append(tokens)
            for place in places:
                if keep[place]:
                    tokens += 1
                elif place not in added:
                    specials[tokens].append(source.tokenizer.convert_ids_to_tokens(int(ids[place])))
    return dict(specials), tuple(starts)
