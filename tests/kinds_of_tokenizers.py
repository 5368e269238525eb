"""A small tokenizer of each kind there is: how a blank is written, how a rare character is, what is normalised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import BertTokenizerFast, PreTrainedTokenizerFast

BLANK = "▁"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?'\"()[]<>/_#-+=\n\té"


def fast(tokenizer: Tokenizer, **names: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **(SPECIAL | names))


def numbered(pieces: list[str]) -> dict[str, int]:
    return {piece: number for number, piece in enumerate(dict.fromkeys([*SPECIAL.values(), *pieces]))}


def byte_level(*, prefix: bool = False, normalizer: Any = None) -> PreTrainedTokenizerFast:
    """GPT-2's kind: bytes as characters of a table, a word with the blank before it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ġ", "Ġ"), ("Ã", "©")]
    vocabulary = numbered([*alphabet, *(a + b for a, b in merges)])
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    return fast(tokenizer)


def _sentence_piece_bpe() -> Tokenizer:
    merges = [("t", "h"), ("th", "e"), (BLANK, "the"), (BLANK, BLANK), (BLANK * 2, BLANK * 2), ("\n", "\n")]
    vocabulary = numbered([*BYTES, BLANK, *LETTERS, *(a + b for a, b in merges)])
    return Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))


def _byte_fallback(*, strip: bool) -> Any:
    steps = [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if strip else steps)


def llama() -> PreTrainedTokenizerFast:
    """A blank put before every text, bytes for rare characters, one blank taken off a decoded text's front."""
    tokenizer = _sentence_piece_bpe()
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(BLANK), normalizers.Replace(" ", BLANK)])
    tokenizer.decoder = _byte_fallback(strip=True)
    return fast(tokenizer)


def mistral() -> PreTrainedTokenizerFast:
    """As Llama's, but the blank comes from the pre-tokenizer, and not before a text that begins with one."""
    tokenizer = _sentence_piece_bpe()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = _byte_fallback(strip=True)
    return fast(tokenizer)


def gemma() -> PreTrainedTokenizerFast:
    """No blank in front; runs of blanks are tokens that were added to the vocabulary."""
    tokenizer = _sentence_piece_bpe()
    tokenizer.normalizer = normalizers.Replace(" ", BLANK)
    tokenizer.decoder = _byte_fallback(strip=False)
    tokenizer.add_tokens([AddedToken(BLANK * 2, normalized=False), AddedToken("<table>", normalized=False)])
    return fast(tokenizer)


def metaspace() -> PreTrainedTokenizerFast:
    """SentencePiece's unigrams, words apart, no bytes: what is not in the vocabulary is unknown."""
    pieces = [*SPECIAL.values(), BLANK, *LETTERS, "the", f"{BLANK}the"]
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0 - len(piece) / 10) for piece in pieces], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return fast(tokenizer)


def t5() -> PreTrainedTokenizerFast:
    """Runs of blanks become one: the text is not kept."""
    pieces = [*SPECIAL.values(), BLANK, *LETTERS, *BYTES]
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=2, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = _byte_fallback(strip=True)
    return fast(tokenizer)


def word_piece() -> PreTrainedTokenizerFast:
    """BERT's kind: blanks are not kept, `##` goes on with a word."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", *LETTERS]
    return BertTokenizerFast(vocab={word: number for number, word in enumerate(dict.fromkeys(words))})


def word_level() -> PreTrainedTokenizerFast:
    """Whole words, and no decoder: they are joined with blanks."""
    tokenizer = Tokenizer(models.WordLevel(numbered(["the", "cat", "sat"]), unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return fast(tokenizer)


def words_and_blanks() -> PreTrainedTokenizerFast:
    """Characters and words with the blank before them, and no decoder."""
    tokenizer = Tokenizer(models.WordLevel(numbered([" the", "the", " cat", *LETTERS, " "]), unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?[a-z]+|[^a-z]"), "isolated")
    return fast(tokenizer)


def end_of_word() -> PreTrainedTokenizerFast:
    """The first GPT's kind: `</w>` ends a word."""
    pieces = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    tokenizer = Tokenizer(models.BPE(vocab=numbered(pieces), merges=[], end_of_word_suffix="</w>", unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.BPEDecoder()
    return fast(tokenizer)


KEPT: dict[str, tuple[Callable[[], PreTrainedTokenizerFast], str, str]] = {
    "byte level": (byte_level, "", ""),
    "byte level, blank in front": (lambda: byte_level(prefix=True), " ", ""),
    "byte level, composed": (lambda: byte_level(normalizer=normalizers.NFC()), "", "NFC"),
    "byte level, compatibility": (lambda: byte_level(normalizer=normalizers.NFKC()), "", "NFKC"),
    "llama": (llama, " ", ""),
    "mistral": (mistral, " ", ""),
    "gemma": (gemma, "", ""),
}
"""Tokenizers that keep the text: what stands before it, and the normal form in which they keep it."""
NOT_KEPT = {
    "metaspace": metaspace,
    "t5": t5,
    "word piece": word_piece,
    "word level": word_level,
    "words and blanks": words_and_blanks,
    "end of word": end_of_word,
}
