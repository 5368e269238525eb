"""Documents to contexts with a Hugging Face tokenizer: its special tokens, as its own configuration names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from msae.activations.token_strings import token_strings
from msae.core.errors import SourceError
from msae.data.contexts import PackedContexts, pack_causal, pack_encoder
from msae.data.documents import Document
from msae.data.tokens import tokenize

NAMED = ("bos_token", "eos_token", "cls_token", "sep_token", "pad_token", "mask_token")


@dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """Token ids; None where the tokenizer has no such token.

    `ids`: every special token whose row is left out wherever it stands. The unknown token is not among them: it stands
    for text (unless the tokenizer uses the same token as BOS or for padding).
    """

    bos: int | None
    cls: int | None
    sep: int | None
    pad: int
    ids: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class ContextLayout:
    """How a model wants its contexts: `opening` is BOS, [CLS] or None; `closing` is [SEP] for an encoder, else None."""

    context_size: int
    batch_size: int
    opening: int | None
    closing: int | None
    bos_between_documents: bool


NO_SPECIAL_TOKENS = SpecialTokens(bos=None, cls=None, sep=None, pad=0, ids=frozenset())
"""Of a model without a tokenizer."""


def special_tokens(tokenizer: Any) -> SpecialTokens:
    """The special tokens the tokenizer was configured with.

    TransformerLens gives a tokenizer without BOS or EOS stand-ins for them, so a token counts as defined only when the
    tokenizer's own configuration (`init_kwargs`) names it.
    """
    named = {name: str(token) for name in NAMED if (token := tokenizer.init_kwargs.get(name)) is not None}
    ids = set(tokenizer.all_special_ids)
    if tokenizer.unk_token is not None and str(tokenizer.unk_token) not in named.values():
        ids.discard(tokenizer.unk_token_id)
    return SpecialTokens(
        bos=tokenizer.bos_token_id if "bos_token" in named else None,
        cls=tokenizer.cls_token_id if "cls_token" in named else None,
        sep=tokenizer.sep_token_id if "sep_token" in named else None,
        pad=tokenizer.pad_token_id or 0,
        ids=frozenset(ids),
    )


class Encoder:
    """Texts to token ids, without special tokens around them.

    Some tokenizers put a blank before every text they are given ("▁" in SentencePiece). Where a text goes on from one
    encoded before, no blank was written, so it is encoded behind a line end, whose tokens are then taken off.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        letter = self([_LETTER])[0]
        self._opens = "".join(token_strings(tokenizer, letter)) == f" {_LETTER}"
        self._line_end = self([_LINE_END])[0] if self._opens else []

    def __call__(self, texts: list[str]) -> list[list[int]]:
        """The token ids of each text."""
        return self._tokenizer(
            texts,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]

    def going_on(self, texts: list[str]) -> list[list[int]]:
        """The token ids of texts that go on from others."""
        if not self._opens:
            return self(texts)
        length = len(self._line_end)
        behind = self([_LINE_END + text for text in texts])
        whole = all(ids[:length] == self._line_end for ids in behind)
        return [ids[length:] for ids in behind] if whole else self(texts)


_LETTER, _LINE_END = "a", "\n"


def _no_tokenizer(texts: list[str]) -> list[list[int]]:
    raise SourceError(
        f"the model has no tokenizer for text ({texts[0][:40]!r}): give documents that are tokenized already, a column "
        "of token ids, or put its tokenizer.json and tokenizer_config.json next to the weights"
    )


def packed_contexts(
    documents: Iterable[Document],
    tokenizer: Any,
    special: SpecialTokens,
    layout: ContextLayout,
    *,
    apart: bool = False,
) -> Iterator[PackedContexts]:
    """Batches of contexts laid out for the model, always the same for the same documents.

    `apart`: no two documents in one context, whatever the model is. Without a tokenizer only documents that have token
    ids are taken; `SourceError` for text.
    """
    encoder = None if tokenizer is None else Encoder(tokenizer)
    spans = tokenize(documents, encoder or _no_tokenizer, encoder.going_on if encoder else None)
    if apart or (layout.closing is not None and layout.opening is not None):
        return pack_encoder(
            spans,
            context_size=layout.context_size,
            batch_size=layout.batch_size,
            cls_id=layout.opening,
            sep_id=layout.closing,
            pad_id=special.pad,
            special_ids=special.ids,
        )
    return pack_causal(
        spans,
        context_size=layout.context_size,
        batch_size=layout.batch_size,
        bos_id=layout.opening,
        pad_id=special.pad,
        bos_between_documents=layout.bos_between_documents,
        special_ids=special.ids,
    )
