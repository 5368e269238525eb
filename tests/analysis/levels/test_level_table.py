from __future__ import annotations

import io
import json
import math

import pytest
import torch

from msae.analysis.levels.evaluate import evaluate_levels, evaluate_rows
from msae.analysis.levels.level_table import DEFINITIONS, LevelTable
from msae.core.errors import EvaluationError
from msae.data.documents import string_documents


@pytest.fixture
def table(toys, bigram):
    # A model that knows the alphabet, so that losing its activations hurts.
    bigram.embedding, bigram.unembedding = torch.eye(9), 6 * torch.eye(9).roll(1, dims=1)
    sae = toys.random_sae(9, (2, 8), k=2)
    return evaluate_levels(sae, bigram, string_documents(["abcdef", "cdefg"]), n_tokens=11, progress=False)


@pytest.fixture
def without_model(toys):
    rows = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    return evaluate_rows(toys.random_sae(6, (2, 8), k=2), rows, progress=False)


def printed(table, width=200):
    from rich.console import Console

    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_what_is_written_is_read_back(table, without_model, tmp_path):
    for one in (table, without_model):
        path = one.write(tmp_path / "results" / "levels.json")
        assert LevelTable.read(path) == one


def test_the_file_has_the_agreed_form(table, tmp_path):
    content = json.loads(table.write(tmp_path / "levels.json").read_text())
    assert set(content) == {"levels", "intervals", "sample", "definitions"}
    for row in content["levels"]:
        assert {"level", "width", "l0", "fvu", "ev", "ce_recovered", "dead"} <= row.keys()
        assert row.keys() == DEFINITIONS.keys(), "every figure is defined"


def test_what_does_not_apply_is_null_and_never_nan(without_model, tmp_path):
    content = json.loads(without_model.write(tmp_path / "levels.json").read_text())
    assert content["levels"][0]["ce_recovered"] is None
    frame = without_model.frame()
    assert list(frame["level"]) == [0, 1]
    assert all(value is None for value in frame["ce_recovered"])
    numbers = [value for row in without_model.records() for value in row.values() if isinstance(value, float)]
    assert all(math.isfinite(value) for value in numbers)


def test_a_file_that_is_missing_or_something_else(tmp_path):
    with pytest.raises(EvaluationError, match="evaluate the run"):
        LevelTable.read(tmp_path / "levels.json")
    for text in ("{", "{}", '{"levels": [{"level": 0}], "sample": {}}', '{"levels": [{"nonsense": 0}]}'):
        (tmp_path / "levels.json").write_text(text)
        with pytest.raises(EvaluationError, match="no table of levels|not readable JSON"):
            LevelTable.read(tmp_path / "levels.json")


def test_the_printed_table(table, without_model):
    text = printed(table)
    for heading in (
        "level",
        "width",
        "L0",
        "FVU",
        "recovered, unigram",
        "recovered, zeros",
        "KL",
        "dead",
        "dense",
        "bits/token",
    ):
        assert heading in text
    for row in table.levels:
        assert f"{row.fvu:.4f}" in text
        assert f"{row.kl:.4f}" in text
    assert "11 tokens of bigram embed" in text
    assert "9 predictions" in text
    assert "n/a" not in text
    bare = printed(without_model)
    assert "n/a" in bare
    assert "nan" not in bare.lower()
    assert "CE and KL do not apply" in bare


def test_a_notebook_shows_the_same_figures(table, without_model):
    text = table._repr_html_()
    assert text.count("<tr") == 1 + len(table.levels)
    assert all(f"{row.fvu:.4f}" in text for row in table.levels)
    assert "9 predictions" in text
    assert "n/a" in without_model._repr_html_()
    assert printed(table.shown()) == printed(table)
