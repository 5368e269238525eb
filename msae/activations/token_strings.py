"""The text of single tokens, exactly: what `decode` would give for one token, but for what it does to a whole text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

BLANK = "▁"
WORD_PIECE = "WordPiece"


def token_strings(tokenizer: Any, token_ids: Iterable[int]) -> list[str]:
    """The text of each token by itself, blanks kept; bytes that are no whole character give ``\\ufffd``, an id without
    a token gives nothing.

    WordPiece, and tokenizers that join words with blanks, do not keep them: every token but one that goes on with a
    word (``##s``) gets one in front.
    """
    ids = [int(token_id) for token_id in token_ids]
    literal, text_of = _readers(tokenizer, len(tokenizer))
    pieces = tokenizer.convert_ids_to_tokens(ids)
    return [
        "" if piece is None else literal[token_id] if token_id in literal else text_of(str(piece))
        for token_id, piece in zip(ids, pieces, strict=True)
    ]


@lru_cache(maxsize=4)
def _readers(tokenizer: Any, _size: int) -> tuple[dict[int, str], Callable[[str], str]]:
    return _literal(tokenizer), piece_decoder(tokenizer)


def _literal(tokenizer: Any) -> dict[int, str]:
    """Added tokens that no piece of the vocabulary is: they are found in the text as they are written."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    own = backend.get_vocab(with_added_tokens=False) if backend is not None else {}
    special = set(tokenizer.all_special_ids)
    return {
        token_id: str(token)
        for token_id, token in tokenizer.added_tokens_decoder.items()
        if token_id in special or str(token) not in own
    }


def piece_decoder(tokenizer: Any) -> Callable[[str], str]:
    """The text of one piece of the vocabulary.

    The tokenizer's own decoder, without what it does to a text's ends: most take one blank off the front, where the
    tokenizer put one, and that would take a blank from every token.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return lambda piece: piece.replace(BLANK, " ")
    steps = _steps(backend.decoder)
    kinds = {step["type"] for step in steps}
    if WORD_PIECE in kinds or type(backend.model).__name__ == WORD_PIECE:
        prefix = next((step["prefix"] for step in steps if step["type"] == WORD_PIECE), "##")
        return lambda piece: piece.removeprefix(prefix) if piece.startswith(prefix) else f" {piece}"
    if backend.decoder is None:
        # Decoding joins the pieces with blanks; where pieces hold blanks of their own, none was lost between them.
        keeps = any(" " in piece for piece in backend.get_vocab(with_added_tokens=False))
        return (lambda piece: piece) if keeps else (lambda piece: f" {piece}")
    if not steps:
        return lambda piece: piece
    from tokenizers import decoders

    decoder = decoders.Fuse()
    decoder.__setstate__(json.dumps({"type": "Sequence", "decoders": steps}).encode())
    return lambda piece: decoder.decode([piece])


def _steps(decoder: Any) -> list[dict[str, Any]]:
    """What a decoder does to a single piece, step by step."""
    if decoder is None:
        return []
    state = json.loads(decoder.__getstate__())
    steps = state["decoders"] if state["type"] == "Sequence" else [state]
    replaced = {"Metaspace": "replacement", "BPEDecoder": "suffix"}
    return [
        {"type": "Replace", "pattern": {"String": step[replaced[step["type"]]]}, "content": " "}
        if step["type"] in replaced
        else step
        for step in steps
        if step["type"] not in ("Strip", "Fuse")
    ]
