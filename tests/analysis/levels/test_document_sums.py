"""Intervals: what other documents would give."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from msae.analysis.levels.document_sums import LEAST_GROUPS, MOST_GROUPS, DocumentSums, intervals
from msae.analysis.levels.evaluate import evaluate_levels, evaluate_rows
from msae.analysis.levels.level_meter import LevelMeter
from msae.core.rng import numpy_stream
from msae.data.documents import string_documents


def test_sums_by_hand():
    sums = DocumentSums()
    group = sums.group(torch.tensor([7, 7, 3, 9]))
    sums.add("x", group, torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]))
    sums.count("token", group, torch.tensor([0, 2, 2, 5]))
    again = sums.group(torch.tensor([3]))
    sums.add("x", again, torch.tensor([[10.0, 10.0]]))
    sums.count("token", again, torch.tensor([6]))
    assert sums.n_documents == sums.n_groups == 3 and not sums.enough
    order = [int(sums.group(torch.tensor([document]))) for document in (7, 3, 9)]
    assert sorted(order) == [0, 1, 2]
    assert sums.cost_of_each("x")[order].tolist() == [[4, 6], [15, 16], [7, 8]]
    assert sums.counted("token").tolist() == [1, 0, 2, 0, 0, 1, 1]
    assert sums.cost("token", torch.arange(7.0))[order].tolist() == [2, 8, 5]
    # Every draw has as many documents, and a sum is that of those drawn.
    assert (sums.weights.sum(1) == 3).all()
    np.testing.assert_allclose(sums.resampled("x"), sums.weights @ sums.cost_of_each("x"))
    np.testing.assert_allclose(sums.resampled_counts("token", np.array([2, 6]))[:, 1], sums.weights[:, order[1]])


def test_many_documents_are_drawn_in_groups():
    sums = DocumentSums()
    document = torch.arange(MOST_GROUPS * 3)
    sums.add("n", sums.group(document), torch.ones(len(document)))
    assert sums.n_groups == MOST_GROUPS and (sums.cost_of_each("n") == 3).all()
    assert f"{3 * MOST_GROUPS:,} documents in {MOST_GROUPS} groups" in sums.sentence()


def test_an_interval_holds_the_truth_as_often_as_it_says():
    """The mean of tokens that are alike within documents: taken for independent, they would miss it again and again."""
    stream, held, n = numpy_stream(0, "test/intervals"), 0, 200
    for _ in range(n):
        sums = DocumentSums()
        size = stream.integers(5, 40, 60)
        document = torch.from_numpy(np.repeat(np.arange(60), size))
        value = np.repeat(stream.normal(0, 1, 60), size) + stream.normal(0, 0.3, size.sum())
        group = sums.group(document)
        sums.add("n", group, torch.ones(len(document)))
        sums.add("value", group, torch.from_numpy(value))
        low, high = intervals({"mean": sums.resampled("value") / sums.resampled("n")})["mean"]
        held += low <= 0 <= high
    assert 0.89 <= held / n <= 0.985


def test_a_figure_that_some_draw_does_not_have_has_no_interval():
    assert intervals({"a": np.array([1.0, np.nan]), "b": np.array([1.0, 1.0])}) == {"b": (1.0, 1.0)}


def letters(n: int) -> list[str]:
    stream = numpy_stream(1, "test/letters")
    return ["".join(stream.choice(list("abcdefgh"), 12, p=stream.dirichlet(np.ones(8)))) for _ in range(n)]


def test_every_figure_of_a_level_has_one_and_lies_in_it(toys, bigram):
    sae = toys.random_sae(6, (2, 4, 12))
    table = evaluate_levels(sae, bigram, string_documents(letters(60)), quantised_ce=True, progress=False)
    for row, own in zip(table.records(), table.intervals, strict=True):
        given = {name for name, value in row.items() if value is not None}
        assert given - own.keys() == {"level", "width", "band_width", "dead"}
        for name, (low, high) in own.items():
            assert low <= row[name] <= high, name
        for name in ("fvu", "l0", "ce_sae", "bits", "kl"):
            assert own[name][0] < own[name][1], name
    assert table.sample.intervals == "Intervals are of 95%, by 1,000 bootstrap draws of 60 documents."
    few = evaluate_levels(sae, bigram, string_documents(letters(LEAST_GROUPS - 1)), progress=False)
    assert few.intervals == () and "no intervals" in few.sample.intervals


def test_documents_that_are_all_the_same_leave_no_doubt(toys, bigram):
    table = evaluate_levels(toys.random_sae(6, (2, 12)), bigram, string_documents(["abcdefgh"] * 20), progress=False)
    for own in table.intervals:
        for name, (low, high) in own.items():
            assert low == pytest.approx(high, abs=1e-9), name


def test_the_interval_of_fvu_is_as_wide_as_other_samples_are_apart(toys):
    """Rows of 40 documents, each with a scale of its own: FVU on 100 samples against the interval of one."""
    stream = numpy_stream(2, "test/fvu")
    sae, document = toys.random_sae(6, (4, 12), threshold=0.3), torch.arange(40).repeat_interleave(20)

    def measured() -> LevelMeter:
        scale = np.repeat(stream.gamma(4.0, 0.25, 40), 20)[:, None]
        meter = LevelMeter(sae, 0.1)
        meter.update(torch.from_numpy((scale * stream.normal(0, 1, (800, 6))).astype(np.float32)), document)
        return meter

    found = np.std([measured().figures()[1].fvu for _ in range(100)])
    low, high = intervals(measured().resampled()[1])["fvu"]
    assert 0.6 < (high - low) / (2 * 1.96 * found) < 1.6


def test_rows_without_documents_count_as_documents_of_their_own(toys):
    rows = torch.randn(800, 6, generator=torch.Generator().manual_seed(0))
    table = evaluate_rows(toys.random_sae(6, (4, 12)), rows, progress=False)
    assert f"800 documents in {MOST_GROUPS} groups" in table.sample.intervals
