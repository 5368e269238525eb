"""The tokenizer of the demo model: nothing is lost, an indentation is one token, words stay whole."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from msae.demo import model_path
from msae.demo.tokenizer import BOS, train_tokenizer

SOURCE = """
class Shelf:
    def __init__(self, books=None):
        self.books = books or []

        if not self.books:
            raise ValueError("an empty shelf")
"""


@pytest.fixture(scope="module")
def shipped() -> Tokenizer:
    return Tokenizer.from_file(str(model_path() / "tokenizer.json"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "\tif x:\r\n\t\ty\n",
        "naïve café — 数字 🙂\u00a0",
        "  lead and trail  ",
        "a\n\n\n    \n  b",
        '"""Doc."""\\\n',
        "\x00\x7f",
    ],
)
def test_decoding_gives_the_text_back(shipped: Tokenizer, text: str) -> None:
    ids = shipped.encode(text, add_special_tokens=False).ids
    assert shipped.decode(ids, skip_special_tokens=False) == text


def test_every_text_begins_with_bos(shipped: Tokenizer) -> None:
    assert shipped.encode("x = 1").tokens[0] == BOS
    assert shipped.encode("x = 1").ids[0] == shipped.token_to_id(BOS) == 0


@pytest.mark.parametrize("indent", ["\n    ", "\n        ", "\n            ", "\n\n    "])
def test_a_line_break_with_its_indentation_is_one_token(shipped: Tokenizer, indent: str) -> None:
    ids = shipped.encode(f"x{indent}return", add_special_tokens=False).ids
    assert [shipped.decode([i]) for i in ids] == ["x", indent, "return"]


@pytest.mark.parametrize(
    "word", ["def", "class", "return", "import", " self", " None", " the", "__init__", " ValueError"]
)
def test_keywords_and_common_words_are_whole(shipped: Tokenizer, word: str) -> None:
    assert len(shipped.encode(word, add_special_tokens=False).ids) == 1


def test_the_vocabulary_is_small(shipped: Tokenizer) -> None:
    assert shipped.get_vocab_size() == 4096


def test_training_is_repeatable_and_loses_nothing() -> None:
    first, second = (train_tokenizer([SOURCE] * 3, vocab=300) for _ in range(2))
    assert first.to_str() == second.to_str()
    assert first.get_vocab_size() == 300
    assert first.decode(first.encode(SOURCE).ids) == SOURCE
