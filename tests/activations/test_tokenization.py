from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from msae.activations.token_strings import token_strings
from msae.activations.tokenization import ContextLayout, packed_contexts, special_tokens
from msae.data import tokens as tokens_module
from msae.data.documents import string_documents
from tests.kinds_of_tokenizers import KEPT

WORDS = ["<s>", "</s>", "<unk>", "<pad>", "▁the", "▁cat", "s", "é"]


def metaspace_tokenizer(**special: str) -> PreTrainedTokenizerFast:
    """A tokenizer of the SentencePiece kind: a blank is written ▁ and belongs to the word after it."""
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def test_a_leading_blank_is_kept():
    assert token_strings(metaspace_tokenizer(), [4, 5, 6, 7]) == [" the", " cat", "s", "é"]


def test_no_tokens_give_no_strings():
    assert token_strings(metaspace_tokenizer(), []) == []


def test_special_tokens_are_those_the_tokenizer_names_but_not_the_unknown_one():
    special = special_tokens(
        metaspace_tokenizer(bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    )
    assert (special.bos, special.cls, special.sep, special.pad) == (0, None, None, 3)
    assert special.ids == {0, 1, 3}


def test_a_stand_in_for_bos_is_no_bos():
    tokenizer = metaspace_tokenizer(eos_token="</s>", unk_token="<unk>")
    tokenizer.bos_token = tokenizer.eos_token
    tokenizer.pad_token = tokenizer.eos_token
    special = special_tokens(tokenizer)
    assert special.bos is None and special.pad == 1 and special.ids == {1}


@pytest.mark.parametrize("name", ["bos_token", "pad_token"])
def test_an_unknown_token_with_a_second_part_to_play_is_special(name):
    assert 2 in special_tokens(metaspace_tokenizer(unk_token="<unk>", **{name: "<unk>"})).ids


LONG = "the cat, the dog\nand the  é🙂 fox\n\tran  off.\r\nthe end " * 6 + "x" * 70


@pytest.mark.parametrize("name", KEPT)
def test_the_pieces_of_a_long_document_are_encoded_as_the_whole(name, monkeypatch):
    """A blank put before each piece would be text that nobody wrote."""
    make, opening, form = KEPT[name]
    if form:
        pytest.skip("the same pieces, normalised")
    tokenizer = make()
    monkeypatch.setattr(tokens_module.segments, "__defaults__", (40,))
    layout = ContextLayout(context_size=64, batch_size=4, opening=None, closing=None, bos_between_documents=False)
    batches = list(packed_contexts(string_documents([LONG]), tokenizer, special_tokens(tokenizer), layout))
    ids = np.concatenate([batch.token_ids[batch.document == 0] for batch in batches])
    assert tokenizer(LONG, add_special_tokens=False)["input_ids"] == ids.tolist() or opening == ""
    read = (
        b"".join(
            bytes([int(piece[3:5], 16)]) if piece.startswith("<0x") else piece.replace("▁", " ").encode()
            for piece in tokenizer.convert_ids_to_tokens(ids)
        )
        if name in ("llama", "mistral", "gemma")
        else tokenizer.decode(ids, clean_up_tokenization_spaces=False).encode()
    )
    assert read.decode() == opening + LONG
