from __future__ import annotations

import functools
import unicodedata

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msae.activations.store import RowTokens
from msae.analysis.features.collection import collect
from msae.analysis.sample import ArrayRows, TokenText, token_text
from msae.sae import BatchTopK, SparseAutoencoder
from tests.kinds_of_tokenizers import KEPT, NOT_KEPT, gemma, llama


def byte_tokenizer():
    """One token a byte: every character beyond ASCII is split."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


@pytest.mark.parametrize("text", ["plain text\n", "größer 四つ目 🙂!", " é", "🙂🙂"])
def test_a_passage_reads_as_its_text(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    pieces = TokenText(tokenizer).passage(ids)
    assert len(pieces) == len(ids) == len(text.encode())
    assert "".join(pieces) == text


def test_a_character_stands_where_it_is_complete(tokenizer):
    ids = tokenizer("aé!", add_special_tokens=False)["input_ids"]
    assert TokenText(tokenizer).passage(ids) == ["a", "", "é", "!"]


def test_a_character_cut_off_is_marked(tokenizer):
    text = TokenText(tokenizer)
    ids = tokenizer("é!", add_special_tokens=False)["input_ids"]
    assert text.passage(ids[1:]) == ["\ufffd", "!"]
    assert text.passage(ids[:1]) == ["\ufffd"]
    assert text.passage([ids[0], ids[2]]) == ["\ufffd", "!"]


def test_examples_show_whole_characters(tokenizer):
    ids = torch.tensor(tokenizer("naïve, naïf", add_special_tokens=False)["input_ids"])
    n = len(ids)
    tokens = RowTokens(token_id=ids, document=torch.zeros(n, dtype=torch.long), offset=torch.arange(n))
    sae = SparseAutoencoder(1, 1, BatchTopK(k=1))
    with torch.no_grad():
        sae.W_dec.fill_(1), sae.W_enc.fill_(1), sae.threshold.zero_()
    x = torch.zeros(n, 1)
    x[2], x[10] = 2.0, 1.0  # the first byte of each ï
    table = collect(sae.eval(), ArrayRows(x, tokens), text=TokenText(tokenizer)).tables["examples"].to_pylist()
    assert [row["token"] for row in table[:2]] == ["ï", "ï"]
    assert "".join(table[0]["context_tokens"]) == "naïve, naïf"
    assert table[0]["context_values"][2] == 2.0


def test_word_pieces_say_where_a_word_begins():
    from transformers import BertTokenizerFast

    tokenizer = BertTokenizerFast(
        vocab={token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "##s"])}
    )
    assert TokenText(tokenizer).passage([5, 6]) == [" cat", "s"]
    assert TokenText(tokenizer).passage([3]) == ["[SEP]"]


def test_it_is_made_once_a_tokenizer_and_again_when_tokens_are_added():
    tokenizer = byte_tokenizer()
    made = token_text(tokenizer)
    assert token_text(tokenizer) is made
    tokenizer.add_tokens(["<more>"])
    assert len(token_text(tokenizer)) == len(made) + 1


TRICKY = [
    "the",
    " ",
    "  ",
    "    ",
    "\n",
    "\r\n",
    "\n\n",
    "\t",
    "é",
    "e\u0301",
    "\u212b",
    "ﬁ",
    "四",
    "🙂🏽",
    "👩\u200d👧",
    "\u00a0",
]
TRICKY += [" the", ".", "'", " n't", "<s", "##s", "<0x41>", "\u200b", "\ufffd", "a", "Z", "ß", "\ufeff"]
texts = st.lists(st.sampled_from(TRICKY), min_size=1, max_size=12).map("".join)


@functools.cache
def kind(name):
    tokenizer = KEPT[name][0]()
    return tokenizer, TokenText(tokenizer)


@pytest.mark.parametrize("name", KEPT)
@given(written=texts)
def test_the_text_of_tokens_is_the_text_that_was_read_to_the_character(name, written):
    tokenizer, text = kind(name)
    _, opening, form = KEPT[name]
    if opening and name != "llama" and written[0].isspace():
        written = "x" + written  # a blank in front and the opening are one token
    read = opening + (unicodedata.normalize(form, written) if form else written)
    ids = tokenizer(written, add_special_tokens=False)["input_ids"]
    assert "".join(text.passage(ids)) == read
    parts = text.encoded(ids)
    assert b"".join(parts) == read.encode() and len(parts) == len(ids)


@pytest.mark.parametrize("name", KEPT)
def test_what_a_tokenizer_keeps_is_known(name):
    _, text = kind(name)
    assert (text.opening, text.form) == KEPT[name][1:]


@pytest.mark.parametrize("name", NOT_KEPT)
def test_what_a_tokenizer_does_not_keep_is_known(name):
    assert TokenText(NOT_KEPT[name]()).opening is None


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("metaspace", "the  cat", [" the", " ", " ", "c", "a", "t"]),
        ("t5", "a  b", [" ", "a", " ", "b"]),
        ("word piece", "the cats", [" the", " cat", "s"]),
        ("word level", "the cat", [" the", " cat"]),
        ("words and blanks", "the  cat.", ["the", " ", " cat", "."]),
        ("end of word", "ab c", ["a", "b ", "c "]),
    ],
)
def test_what_is_shown_of_a_text_that_is_not_kept(name, written, expected):
    tokenizer = NOT_KEPT[name]()
    assert TokenText(tokenizer).passage(tokenizer(written, add_special_tokens=False)["input_ids"]) == expected


def test_runs_of_blanks_keep_every_blank():
    """Decoded one by one, each token loses the blank that is taken off a text's front."""
    tokenizer = llama()
    ids = tokenizer("a     b", add_special_tokens=False)["input_ids"]
    assert TokenText(tokenizer).passage(ids) == [" ", "a", "    ", " ", "b"]


def test_added_tokens_are_as_they_stand_in_the_text():
    tokenizer = gemma()
    ids = tokenizer("<table>  x<s>", add_special_tokens=False)["input_ids"]
    assert TokenText(tokenizer).passage(ids) == ["<table>", "  ", "x", "<s>"]


def test_ids_without_a_token_are_known_and_have_no_text():
    tokenizer = byte_tokenizer()
    last = max(tokenizer.get_vocab().values())
    tokenizer._tokenizer.model = type(tokenizer._tokenizer.model)(
        vocab={piece: number + 10 * (number > 200) for piece, number in tokenizer.get_vocab().items()}, merges=[]
    )
    text = TokenText(tokenizer)
    assert len(text) == last + 11 and text.known.sum() == last + 1
    assert not text.known[201:211].any() and text.texts[201:211] == [""] * 10
    written = "ÿ, the text"
    assert "".join(text.passage(tokenizer(written, add_special_tokens=False)["input_ids"])) == written
