"""What every listed measurement must do; a new entry is tested the moment it is listed."""

from __future__ import annotations

import dataclasses
import json

import pyarrow as pa
import pytest
import torch

from msae.analysis.all_measurements import MEASUREMENTS, TABLES, Measurement, Result
from msae.analysis.tables import meanings, read_table, row_of
from msae.core.config import from_dict, to_dict

every = pytest.mark.parametrize("cls", MEASUREMENTS, ids=lambda cls: cls.name)


def nothing_is_nan(table: pa.Table) -> bool:
    floats = [column for column in table.columns if pa.types.is_floating(column.type)]
    return not any(pa.compute.any(pa.compute.is_nan(column.drop_null())).as_py() for column in floats)


def check(result: Result, cls: type[Measurement], folder) -> None:
    assert cls.name in result.tables
    assert {name: table.column_names for name, table in result.tables.items()} == {
        table.name: table.names for table in cls.tables
    }
    json.dumps(dict(result.summary), allow_nan=False)
    result.write(folder)
    for name, table in result.tables.items():
        assert all(meanings(table).values()) and row_of(table.schema)
        assert nothing_is_nan(table)
        assert read_table(folder / f"{name}.parquet").equals(table)


def test_names_are_unique():
    assert len({cls.name for cls in MEASUREMENTS}) == len(MEASUREMENTS)
    assert len({table.name for table in TABLES}) == len(TABLES)


def test_every_column_says_what_it_means():
    silent = [(table.name, column.name) for table in TABLES for column in table.columns if not column.meaning]
    twice = [table.name for table in TABLES if len(set(table.names)) < len(table.names)]
    errors = [
        (table.name, c.error) for table in TABLES for c in table.columns if c.error and c.error not in table.names
    ]
    assert not silent and not twice and not errors


@every
def test_settings_are_a_frozen_config(cls):
    settings = cls()
    assert isinstance(settings, Measurement)
    assert from_dict(cls, to_dict(settings)) == settings
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.name = "other"


@every
def test_on_a_nested_sae(cls, forest, tmp_path):
    check(cls().run(forest.collected), cls, tmp_path)


@every
def test_on_an_sae_of_one_level(cls, flat_forest, tmp_path):
    check(cls().run(flat_forest.collected), cls, tmp_path)


@every
def test_with_a_silent_level_and_too_few_tokens(cls, from_codes, tmp_path):
    codes = torch.zeros(100, 6)
    codes[:3, :2] = 1  # level 0 fires on three tokens, level 1 never, level 2 often
    codes[::2, 4] = 1
    check(cls().run(from_codes(codes, (2, 4, 6))), cls, tmp_path)


@every
def test_the_same_sample_gives_the_same_tables(cls, forest):
    one, other = cls().run(forest.collected), cls().run(forest.collected)
    assert all(one.tables[name].equals(other.tables[name]) for name in one.tables)
