"""Documents to contexts with a Hugging Face tokenizer: its special tokens, as its own configuration names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

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


def packed_contexts(
    documents: Iterable[Document], tokenizer: Any, special: SpecialTokens, layout: ContextLayout
) -> Iterator[PackedContexts]:
    """Batches of contexts laid out for the model, always the same for the same documents."""

    def encode(texts: list[str]) -> list[list[int]]:
        return tokenizer(
            texts,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]

    spans = tokenize(documents, encode)
    if layout.closing is not None and layout.opening is not None:
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


def token_strings(tokenizer: Any, token_ids: Iterable[int]) -> list[str]:
    """The text of each token by itself, its leading blank kept; bytes that are no whole character give ``\\ufffd``.

    WordPiece does not keep blanks: every token but one that goes on with a word (``##s``) gets one.
    """
    ids = [int(token_id) for token_id in token_ids]
    pieces = tokenizer.convert_ids_to_tokens(ids)
    texts = [tokenizer.decode([token_id], clean_up_tokenization_spaces=False) for token_id in ids]
    if _is_word_piece(tokenizer):
        special = set(tokenizer.all_special_ids)
        return [
            text if token_id in special else piece.removeprefix("##") if piece.startswith("##") else f" {piece}"
            for token_id, piece, text in zip(ids, pieces, texts, strict=True)
        ]
    return [_with_leading_blank(str(piece), text) for piece, text in zip(pieces, texts, strict=True)]


def _is_word_piece(tokenizer: Any) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend is not None and type(backend.model).__name__ == "WordPiece"


def _with_leading_blank(piece: str, text: str) -> str:
    return f" {text}" if piece.startswith("▁") and not text.startswith(" ") else text
