"""The null model of labels: shifted circularly within documents, among the rows that are distinguished."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from msae.core.rng import numpy_stream


def shift_within(document: Int[np.ndarray, " rows"], *, seed: int, name: str) -> Int[np.ndarray, " rows"]:
    """An order of the rows: ``label[order]`` is the labels shifted, in each document by an amount of its own.

    `document`: of each row, ascending rows of one document together. All concepts distinguished within the rows are
    shifted alike, so that a concept keeps its density and its runs. A document of one row stays as it is.
    """
    starts = np.concatenate([[0], np.flatnonzero(np.diff(document)) + 1, [len(document)]])
    lengths = np.diff(starts)
    by = numpy_stream(seed, f"probing/shift/{name}").integers(1, np.maximum(lengths, 2))
    start, length, by = (np.repeat(values, lengths) for values in (starts[:-1], lengths, by))
    return start + (np.arange(len(document)) - start + by) % length
