"""Tokens as text. Byte-level tokenizers split characters; here their bytes are put together again.

The text of a character that several tokens share stands at the token that completes it, and the tokens before it are
empty: so the texts of a passage joined are the passage.
"""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from msae.activations.token_strings import token_strings
from msae.core.checked import checked
from msae.core.errors import SourceError

_BYTE_PIECE = re.compile(r"^<0x([0-9A-Fa-f]{2})>$")
REPLACEMENT = "\ufffd"
SAMPLES = (
    "A text,  with two blanks,\n\tÜbermaß and 四 trees.",
    "Line ends\r\n and\rothers\n\n   runs of   blanks  ",
    "Don't , it 's n't.  [x] <y> _z_ ##w",
    "x\u00a0\u3000ＡＢ ﬁ ½ 🙂🏽 👩\u200d👧 \ufffd",
    "é e\u0301 \u212b n\u0303o \u1112\u1161\u11ab",
)
FORMS = ("NFC", "NFKC", "NFD", "NFKD")


@checked
class TokenText:
    """What each token of a Hugging Face tokenizer says.

    Where `opening` is a blank, most tokenizers put it only before a text that does not begin with one: the tokens of
    "the" and " the" are the same, so of a document that begins with a blank the first character cannot be told apart
    from the opening.

    `texts`: of every id up to the largest; "" where an id has no token, which `known` says.
    `opening`: what stands before a text put together from its tokens, "" or a blank; None when the text itself is not
    kept, since the tokenizer changes case, blanks or characters. `form`: the Unicode normal form in which the text is
    kept, such as ``NFC``; "" when it is kept as it was written.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not hasattr(tokenizer, "get_vocab") or not hasattr(tokenizer, "all_special_ids"):
            raise SourceError(f"{tokenizer!r:.80} is no Hugging Face tokenizer: give one (source.tokenizer)")
        there = sorted(set(tokenizer.get_vocab().values()))
        ids = list(range(there[-1] + 1))
        self.known: Bool[np.ndarray, " ids"] = np.isin(ids, there)
        pieces = tokenizer.convert_ids_to_tokens(ids)
        self.texts: list[str] = token_strings(tokenizer, ids)
        self._bytes: dict[int, bytes] = {}
        special = set(tokenizer.all_special_ids)
        byte_level = _is_byte_level(tokenizer)
        for token_id, (piece, text) in enumerate(zip(pieces, self.texts, strict=True)):
            if token_id in special or piece is None:
                continue
            whole = _piece_bytes(piece, byte_level)
            if whole is not None and REPLACEMENT in text and REPLACEMENT.encode() not in whole:
                self._bytes[token_id] = whole
        self._partial = np.zeros(len(ids), dtype=bool)
        self._partial[list(self._bytes)] = True
        self.opening, self.form = self._kept(tokenizer)

    def _kept(self, tokenizer: Any) -> tuple[str | None, str]:
        """`opening` and `form`, from texts that hold what tokenizers are known to change."""
        read = [self._read(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in SAMPLES]
        for form in ("", *FORMS):
            written = [unicodedata.normalize(form, text) if form else text for text in SAMPLES]  # type: ignore[arg-type]
            for opening in ("", " "):
                if read == [opening + text for text in written]:
                    return opening, form
        return None, ""

    def _read(self, token_ids: Iterable[int]) -> str:
        return b"".join(self.encoded(token_ids)).decode("utf-8", "replace")

    def __len__(self) -> int:
        return len(self.texts)

    def has_partial(self, token_ids: Int[np.ndarray, " tokens"]) -> np.ndarray:
        """Which tokens hold only part of a character."""
        return self._partial[token_ids]

    def encoded(self, token_ids: Iterable[int] | Int[np.ndarray, " tokens"]) -> list[bytes]:
        """The UTF-8 bytes of each token; a token of a split character holds its share of them."""
        return [self._bytes.get(int(i)) or self.texts[int(i)].encode() for i in token_ids]

    def passage(self, token_ids: Iterable[int] | Int[np.ndarray, " tokens"]) -> list[str]:
        """One text a token, characters put together; a character cut off at either end stays `\\ufffd`."""
        out, decoder = [], None
        for token_id in token_ids:
            raw = self._bytes.get(int(token_id))
            if raw is None:
                if decoder is not None and (rest := decoder.decode(b"", final=True)):
                    out[-1] += rest
                decoder = None
                out.append(self.texts[int(token_id)])
                continue
            decoder = decoder or codecs.getincrementaldecoder("utf-8")("replace")
            out.append(decoder.decode(raw))
        if decoder is not None and (rest := decoder.decode(b"", final=True)):
            out[-1] += rest
        return out


def token_text(tokenizer: Any) -> TokenText:
    """The `TokenText` of a tokenizer, which takes seconds to make for a large vocabulary; the last few are kept."""
    return _token_text(tokenizer, len(tokenizer))


@lru_cache(maxsize=2)
def _token_text(tokenizer: Any, _size: int) -> TokenText:
    return TokenText(tokenizer)


def _is_byte_level(tokenizer: Any) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend is not None and '"ByteLevel"' in json.dumps(json.loads(backend.to_str()).get("decoder"))


def _piece_bytes(piece: str, byte_level: bool) -> bytes | None:
    if match := _BYTE_PIECE.match(piece):
        return bytes([int(match[1], 16)])
    if byte_level and all(character in _byte_of() for character in piece):
        return bytes(_byte_of()[character] for character in piece)
    return None


@cache
def _byte_of() -> dict[str, int]:
    """The character that byte-level tokenizers write for each byte, the other way round (GPT-2's table)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}
