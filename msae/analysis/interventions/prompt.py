"""What an SAE makes of a text typed in: the codes of every token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.activations.source import rows_kept
from msae.activations.transformer_lens import TransformerLensSource
from msae.analysis.sample import token_text
from msae.analysis.sample.pairing import evaluating, shared_hook
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
    """

    token_ids: Int[Tensor, " tokens"]
    texts: list[str]
    codes: SparseCodes
    squared_errors: Float[Tensor, "level tokens"]
    squared_deviations: Float[Tensor, " tokens"]

    @property
    def fvu(self) -> list[float]:
        """Σ‖x − x̂_g‖² / Σ‖x − x̄‖² of every level g on this text alone; NaN for a text whose activations are all equal,
        such as one of a single token."""
        spread = self.squared_deviations.sum().item()
        return [unexplained(error, spread) for error in self.squared_errors.sum(1).tolist()]


@torch.no_grad()
def read_prompt(
    source: TransformerLensSource, sae: SparseAutoencoder, text: str, *, force: bool = False
) -> PromptReading:
    """Run `text` through the model, cut into contexts as for a store, and encode its activations.

    Raises `EvaluationError` for a text without a token, `MismatchError` when the SAE was trained on another source
    (with `force`, warns).
    """
    hook = shared_hook(sae, source, force=force)
    batches = list(source.contexts(string_documents([text])))
    rows = [rows_kept(batch, source.activations(batch)[hook]) for batch in batches]
    if sum(map(len, rows)) == 0:
        raise EvaluationError(f"the text {text!r} has no token: type some")
    x = torch.cat(rows).to(sae.device, sae.dtype)
    token_ids = torch.cat([batch.token_ids[batch.keep] for batch in batches])
    with evaluating(sae):
        codes = sae.encode(x)
        errors = squared_error(x, sae.decode_levels(codes))
        deviations = deviation(x)
    return PromptReading(
        token_ids=token_ids,
        texts=token_text(source.tokenizer).passage(token_ids.numpy()),
        codes=codes.to("cpu"),
        squared_errors=errors.cpu(),
        squared_deviations=deviations.cpu(),
    )
