"""Labelled concepts on the absorption page, from tables given by hand."""

from __future__ import annotations

import shutil

import pytest

from msae.analysis.concepts.concept_absorption_tables import (
    ALL,
    CONCEPT_ABSORPTION,
    CONCEPT_ABSORPTION_LEVELS,
    DEFINITIONS,
    THROUGH_THE_MODEL,
)
from msae.analysis.tables import Status, by_column, make_table, write_tables
from msae_dashboards.address import Address
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.absorption import concepts
from msae_dashboards.pages.panel import Visit, show
from msae_dashboards.view.html import write


@pytest.fixture
def run(demo_run, tmp_path):
    shutil.copytree(demo_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("concept*", "probes*"))
    return tmp_path / "run"


def shown(run) -> str:
    return write(show(concepts.PANEL, Visit(tables=RunTables(run), address=Address(page="absorption"))))


def test_without_the_tables_it_says_what_measures_them(run):
    assert "msae analyze run" in shown(run)


def kept(run, levels: list[dict], rows: list[dict]) -> None:
    tables = {
        name: make_table(columns, by_column(columns, values))
        for name, columns, values in (
            ("concept_absorption_levels", CONCEPT_ABSORPTION_LEVELS, levels),
            ("concept_absorption", CONCEPT_ABSORPTION, rows),
        )
    }
    write_tables(tables, run / "results")


LEVEL = {"level": 1, "family": ALL, "of_children": False, "status": Status.OK, "concepts": 7, "rate": 0.25, "l0": 3.0}
LEVEL |= {"rate_error": 0.125, "null_rate": 0.0625, "n_main": 1.5, "n_main_error": 0.5}


def test_rates_beside_chance_and_who_absorbed_what(run):
    levels = [{**LEVEL, "definition": name} for name in DEFINITIONS]
    row = {"concept": "keyword", "family": "Python", "level": 1, "definition": DEFINITIONS[0], "status": Status.OK}
    row |= {"n_tokens": 40, "absorbed": 30.0, "rate": 0.75, "rate_error": 0.02, "null_rate": 0.1, "n_main": 2}
    row |= {"main": [3, 20], "main_f1": 0.9, "absorber": 90, "absorber_share": 0.8, "absorber_is_childs": True}
    rows = [{**row, "child": "keyword <def>"}, {**row, "child": None, "rate": 0.05}]
    kept(run, levels, rows)
    page = shown(run)
    assert page.count("0.250<span") == len(DEFINITIONS) and "± 0.125, chance 0.062" in page
    assert "<b>keyword &lt;def&gt;</b> of keyword" in page and "75%" in page
    assert 'href="/feature/90"' in page and 'href="/feature/20"' in page
    assert page.count("<b>") == 1  # below chance is not absorbed


def test_the_definition_through_the_model_is_a_column_where_it_was_measured_and_a_note_where_not(run):
    through = {**LEVEL, "definition": THROUGH_THE_MODEL}
    of_children = {**through, "of_children": True, "status": "n/a: no logit of the model stands for the concept"}
    others = [{**LEVEL, "definition": name, "of_children": of} for name in DEFINITIONS for of in (False, True)]
    kept(run, [*others, {**through, "rate": 0.375, "null_rate": None}, of_children], [])
    page = shown(run)
    assert "chanin 2409" in page and "0.375<span" in page and "no logit" not in page.replace("title=", "")
    why = "too few words: the model spells 3 of 520 words"
    kept(run, [*others, {**through, "status": why, "rate": None}, of_children], [])
    page = shown(run)
    assert f">{THROUGH_THE_MODEL}</code> was not measured: {why}." in page and "chanin 2409" not in page
    few = {**through, "status": Status.FEW_WORDS, "n_tried": 520, "n_spelled": 3, "rate": None}
    kept(run, [*others, few, of_children], [])
    assert "was not measured: the model spells too few words: 3 of 520." in shown(run)
