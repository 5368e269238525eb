"""The n-gram baseline: by hand on a short string, and its probabilities sum to one."""

from __future__ import annotations

import numpy as np
import pytest

from msae.demo.ngram import ngram_bits, ngram_probabilities


def as_bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def test_by_hand() -> None:
    # In "abab": N(a) = N(b) = 2 of 4 bytes, 2 kinds; after a always b (twice, 1 kind); after b once a.
    p1 = (2 + 2 / 256) / (4 + 2)  # either letter, alone
    first, second, third = ngram_probabilities(as_bytes("abab"), as_bytes("aba"), order=2)
    assert first == pytest.approx(p1)
    assert second == pytest.approx((2 + p1) / (2 + 1))  # b after a
    assert third == pytest.approx((1 + p1) / (1 + 1))  # a after b
    assert ngram_bits(as_bytes("abab"), as_bytes("aba"), order=2) == pytest.approx(-np.log2(first * second * third))


def test_after_an_unseen_context_the_shorter_one_decides() -> None:
    train = as_bytes("the cat sat on the mat")
    long, short = (ngram_probabilities(train, as_bytes(text), order=4)[-1] for text in ("##ca", "#ca"))
    assert long == pytest.approx(short)


@pytest.mark.parametrize("context", ["", "t", "the ", "zzzz", "at on"])
@pytest.mark.parametrize("order", [1, 3, 5])
def test_the_probabilities_of_all_bytes_sum_to_one(context: str, order: int) -> None:
    train = as_bytes("the cat sat on the mat; the rat ate that, at that.")
    head = as_bytes(context)
    each = [ngram_probabilities(train, np.append(head, np.uint8(byte)), order)[-1] for byte in range(256)]
    assert sum(each) == pytest.approx(1)
    assert min(each) > 0


def test_a_text_shorter_than_the_order_still_counts_every_byte() -> None:
    assert len(ngram_probabilities(as_bytes("abc"), as_bytes("ab"), order=5)) == 2
    assert ngram_bits(as_bytes(""), as_bytes("xyz")) == pytest.approx(24)  # knows nothing: 8 bits a byte
