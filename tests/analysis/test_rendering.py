from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from msae.analysis.rendering import ShownTable, written
from msae.analysis.tables import WORD, Column, Status, TableSpec, by_column, make_table, meanings, sentence, units
from msae.core.errors import EvaluationError

SPEC = TableSpec(
    "made_up",
    "a thing",
    Column("name", pa.string(), "what it is called"),
    Column("status", WORD, "whether it was measured"),
    Column("rate", pa.float32(), "how often", "nats", "mean rate", 2, "rate_error"),
    Column("rate_error", pa.float32(), "its standard error"),
    Column("n_seen", pa.int64(), "how many"),
)
OK = {"name": "[bold] <b>", "status": Status.OK, "rate": 0.125, "rate_error": 0.01, "n_seen": 12_345}
FEW = {"name": "other", "status": Status.FEW, "rate": None, "rate_error": None, "n_seen": 3}


def shown(*rows, names=("name", "rate", "n_seen")) -> ShownTable:
    return ShownTable.of(SPEC, rows, *names, title="Things & more", notes=["A note."])


def printed(table: ShownTable) -> str:
    console = Console(width=120, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_cells_are_the_same_everywhere():
    table = shown(OK, FEW)
    assert table.headings == ["name", "mean rate", "n seen", ""]
    assert table.cells() == [["[bold] <b>", "0.12 ± 0.01", "12,345", ""], ["other", "n/a", "3", "too few tokens"]]
    for text in ("Things & more", "[bold] <b>", "0.12 ± 0.01", "too few tokens", "A note."):
        assert text in printed(table)
    page = table.html()
    assert "Things &amp; more" in page and "[bold] &lt;b&gt;" in page and 'title="how often"' in page
    assert page.count("<tr>") == 3 and "<div>A note.</div>" in page


def test_statuses_are_shown_where_one_needs_it():
    assert shown(OK).headings == ["name", "mean rate", "n seen"]
    assert "too few" not in printed(shown(OK))


def test_what_an_older_version_wrote_as_a_status_is_shown_as_it_stands():
    assert sentence("too few words: the model spells 3 of 60") == "too few words: the model spells 3 of 60"
    assert sentence("no model") == Status.NO_MODEL.sentence != "no model"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, None, "n/a"),
        (float("nan"), 2, "n/a"),
        (True, None, "yes"),
        (np.int32(1_000), None, "1,000"),
        (0.123456, None, "0.1235"),
        (np.float32(0.5), 3, "0.500"),
        ([1, 2], None, "1, 2"),
        ("a", None, "a"),
    ],
)
def test_values_as_text(value, digits, text):
    assert written(value, digits) == text


def test_a_table_keeps_what_its_columns_mean():
    table = make_table(SPEC, by_column(SPEC, [OK, FEW]))
    assert meanings(table)["rate"] == "how often" and units(table) == {"rate": "nats"}
    assert table["status"].to_pylist() == ["ok", "too few tokens"]
    with pytest.raises(EvaluationError, match="made_up"):
        make_table(SPEC, {"name": []})
