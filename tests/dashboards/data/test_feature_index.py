"""Filter, search and order of latents, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from msae_dashboards.data.feature_index import FeatureIndex, joined
from msae_dashboards.data.filter import Filter, filter_keys


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


@pytest.mark.parametrize(
    ("latent", "wanted", "near"),
    [
        (0, Filter(), (None, 1)),
        (2, Filter(), (1, None)),  # 3 never fires
        (3, Filter(), (2, None)),
        (3, Filter(alive=False), (None, None)),
        (1, Filter(levels=(1,)), (None, 2)),
        (2, Filter(levels=(0,)), (1, None)),
        (2, Filter(sort="max", descending=True), (1, 0)),
        (1, Filter(query="no such word"), (None, None)),
    ],
)
def test_the_latents_before_and_after(index: FeatureIndex, latent: int, wanted: Filter, near: tuple) -> None:
    assert index.around(latent, wanted) == near


def test_a_record_is_json(index: FeatureIndex) -> None:
    assert index.record(3)["max"] is None and index.record(1)["f1"] is None
    assert index.record(0)["density"] == 0.2 and index.record(0)["top_tokens"] == ["(", " def"]
    assert not np.isnan(index.record(0)["mean"])


def test_a_filter_is_what_a_url_says_and_nonsense_lets_everything_through() -> None:
    query = {"q": "def", "level": "0,x,2", "alive": "dead", "density_min": "2", "max_max": "nan", "sort": "f1"}
    wanted = Filter.of({**query, "order": "desc"})
    assert (wanted.query, wanted.levels, wanted.alive, wanted.sort) == ("def", (0, 2), False, "f1")
    assert wanted.density == (0.02, None) and wanted.max == (None, None) and wanted.descending
    assert Filter.of({"alive": "sometimes", "level": "x"}) == Filter()
    assert filter_keys({**query, "theme": "orange", "token": ""}) == query


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("␣def", [1, 0]),  # ' def' is a token of both
        ('"class"', [1]),
        ('"lass"', []),
        ("level:1", [2, 3]),
        ("level:0 (", [0]),
        ("logit:try", [1]),
        ("logit:try level:1", []),
        ("logit:nothing", []),
    ],
)
def test_what_is_displayed_is_found(index: FeatureIndex, query: str, found: list[int]) -> None:
    searchable = replace(index, promoted=lambda: ["", joined([" try"]), "", ""])
    assert searchable.find(Filter(query=query)).tolist() == found
