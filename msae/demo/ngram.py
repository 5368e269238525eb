"""A byte n-gram with Witten-Bell back-off: the baseline a language model must beat."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt8


def ngram_bits(train: UInt8[np.ndarray, " train"], text: UInt8[np.ndarray, " text"], order: int = 5) -> float:
    """The bits that an n-gram of the bytes `train` spends on all the bytes of `text`."""
    return float(-np.log2(ngram_probabilities(train, text, order)).sum())


def ngram_probabilities(
    train: UInt8[np.ndarray, " train"], text: UInt8[np.ndarray, " text"], order: int = 5
) -> Float[np.ndarray, " text"]:
    """The probability of each byte c of `text` given the `order - 1` bytes h before it.

    p_n(c | h) = (N(hc) + T(h) p_{n-1}(c | h')) / (N(h) + T(h)), where N counts in `train`, T(h) is how many different
    bytes follow h there, h' is h without its first byte and p_0 = 1/256. It sums to one over c. After a context that
    `train` does not hold, and for the first bytes of `text`, the longest shorter context decides.
    """
    p = np.full(len(text), 1 / 256)
    for n in range(1, min(order, len(train), len(text)) + 1):
        grams, counts = _count(_windows(train, n))
        contexts, first = np.unique(grams >> 8, return_index=True)
        totals, kinds = np.add.reduceat(counts, first), np.diff(first, append=len(grams))
        wanted = _windows(text, n)
        seen = _lookup(grams, counts, wanted)
        total, kind = (_lookup(contexts, values, wanted >> 8) for values in (totals, kinds))
        shorter = p[n - 1 :]
        p[n - 1 :] = np.where(total > 0, (seen + kind * shorter) / np.maximum(total + kind, 1), shorter)
    return p


def _windows(text: UInt8[np.ndarray, " text"], n: int) -> Int[np.ndarray, " windows"]:
    """Every run of n bytes of `text` as one number (n at most 7), in order: len(text) - n + 1 of them."""
    keys = np.zeros(len(text) - n + 1, dtype=np.int64)
    for i in range(n):
        keys <<= 8
        keys |= text[i : len(text) - n + 1 + i]
    return keys


def _count(keys: Int[np.ndarray, " windows"]) -> tuple[Int[np.ndarray, " grams"], Int[np.ndarray, " grams"]]:
    """The different keys, sorted, and how often each occurs. Sorts `keys` in place: they are gigabytes."""
    keys.sort()
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[first], np.diff(first, append=len(keys))


def _lookup(
    keys: Int[np.ndarray, " grams"], values: Int[np.ndarray, " grams"], wanted: Int[np.ndarray, " text"]
) -> Int[np.ndarray, " text"]:
    """The value of each key wanted among the sorted `keys`; 0 where it is absent."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)
