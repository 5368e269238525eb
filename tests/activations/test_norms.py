import math

import pytest
import torch

from msae.activations import norms
from msae.activations.norms import summarize_norms
from msae.core.errors import ConfigError
from msae.core.rng import torch_stream


def test_a_summary_by_hand():
    summary = summarize_norms([torch.tensor([1.0, 2.0, 3.0]), torch.tensor([40.0, 2.0])])
    assert (summary.median, summary.largest, summary.n_sinks) == (2.0, 40.0, 1)
    assert summary.sink_share == pytest.approx(1600 / (1600 + 1 + 4 + 9 + 4))
    assert summary.sink_norm == 20.0 and summary.sinks_rule


def test_the_parts_do_not_matter():
    values = torch.rand(1000, generator=torch_stream(0, "test/norms"))
    whole = summarize_norms([values])
    for sizes in ([1] * 1000, [999, 1], [0, 300, 700]):
        assert summarize_norms(values.split(sizes)) == whole
    assert whole.median == float(values.median())


def test_of_many_rows_the_median_is_that_of_an_even_sample(monkeypatch):
    monkeypatch.setattr(norms, "MEDIAN_ROWS", 100)
    values = torch.rand(1001, generator=torch_stream(0, "test/norms"))
    expected = float(values[::11].median())
    for sizes in ([1001], [5, 3, 300, 693], [1] * 1001):
        assert summarize_norms(values.split(sizes)).median == expected


def test_rows_that_are_mostly_zero_have_no_sinks():
    summary = summarize_norms([torch.tensor([0.0, 0.0, 5.0])])
    assert (summary.n_sinks, summary.sink_share, summary.sink_norm) == (0, 0.0, math.inf)
    assert summarize_norms([torch.zeros(3)]).sink_share == 0.0


def test_no_row_is_refused():
    with pytest.raises(ConfigError, match="no row"):
        summarize_norms([torch.empty(0)])
