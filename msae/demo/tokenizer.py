"""The demo model's tokenizer: a byte-level BPE whose pieces follow the grain of Python source."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

BOS = "<|bos|>"
"""Opens every context, and stands between two documents."""

PAD = "<|pad|>"

# A dunder; a word with the space, dot or underscore before it; one digit; a run of signs; a line break with the
# blank lines before and the indentation after it, so that "\n        " is a single token; other white space.
PIECES = r"[ .]?__\p{L}+__|[ ._]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}_]+|_+|\s*\n[ \t]*|[ \t]+(?!\S)|\s+"


def train_tokenizer(texts: Iterable[str], vocab: int) -> Tokenizer:
    """A BPE of `vocab` tokens (the 256 bytes, BOS and PAD among them) that puts BOS before every text.

    Decoding gives back any text exactly. The same texts in the same order give the same tokenizer.
    """
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[BOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    bos = (BOS, tokenizer.token_to_id(BOS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[bos]
    )
    return tokenizer
