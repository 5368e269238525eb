from __future__ import annotations

import pytest
import torch

from msae.activations.store import RowTokens
from msae.analysis.features.collection import collect
from msae.analysis.sample import ArrayRows, TokenText, token_text
from msae.sae import BatchTopK, SparseAutoencoder


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
