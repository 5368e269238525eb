"""Filter, search and order of latents, by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from msae_dashboards.feature_index import FeatureIndex, Filter


@pytest.fixture(scope="module")
def index() -> FeatureIndex:
    features = pa.table(
        {
            "latent": [0, 1, 2, 3],
            "level": pa.array([0, 0, 1, 1], pa.int16()),
            "density": [0.2, 0.01, 0.05, 0.0],
            "n_tokens": [20, 1, 5, 0],
            "mean": pa.array([1.0, 2.0, 3.0, None], pa.float32()),
            "max": pa.array([5.0, 9.0, 7.0, None], pa.float32()),
            "top_tokens": [["(", " def"], [" def", "class"], ["return"], []],
            "top_token_shares": [[0.5, 0.1], [0.7, 0.2], [1.0], []],
        }
    )
    explanations = pa.table(
        {"latent": [0, 1, 2, 3], "explanation": ["fires on `(`", "", "a Return", None], "f1": [0.5, None, 0.9, None]}
    )
    return FeatureIndex.of(features, explanations)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), [0, 1, 2, 3]),
        (Filter(levels=(1,)), [2, 3]),
        (Filter(alive=True), [0, 1, 2]),
        (Filter(alive=False), [3]),
        (Filter(density=(0.01, 0.05)), [1, 2]),
        (Filter(max=(None, 7.0)), [0, 2, 3]),
        (Filter(max=(6.0, None)), [1, 2]),
        (Filter(query="DEF"), [1, 0]),
        (Filter(query="class def"), [1]),
        (Filter(query="return"), [2]),
        (Filter(token="def"), [1]),
        (Filter(sort="density"), [3, 1, 2, 0]),
        (Filter(sort="density", descending=True), [0, 2, 1, 3]),
        (Filter(sort="max", descending=True), [1, 2, 0, 3]),
        (Filter(sort="latent", descending=True), [3, 2, 1, 0]),
        (Filter(sort="f1", descending=True), [2, 0, 1, 3]),
        (Filter(sort="top_token"), [1, 0, 2, 3]),
        (Filter(sort="no such column"), [0, 1, 2, 3]),
    ],
)
def test_what_is_found_and_in_which_order(index: FeatureIndex, wanted: Filter, found: list[int]) -> None:
    assert index.find(wanted).tolist() == found


def test_the_latents_before_and_after(index: FeatureIndex) -> None:
    assert index.near(0) == (None, 1)
    assert index.near(3) == (2, None)
    assert index.near(1, level=1) == (None, 2)
    assert index.near(2, level=0) == (1, None)


def test_a_record_is_json(index: FeatureIndex) -> None:
    assert index.record(3)["max"] is None and index.record(1)["f1"] is None
    assert index.record(0)["density"] == 0.2 and index.record(0)["top_tokens"] == ["(", " def"]
    assert not np.isnan(index.record(0)["mean"])
