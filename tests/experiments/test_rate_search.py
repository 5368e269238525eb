"""The search for a learning rate finds the bottom of a curve that is known, and the fit a rule that is known."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from experiments.studies import rate_search

RULE = {"c": 3e-3, "d_sae": -0.25, "batch": 0.5, "steps": -0.3}


def valley(trained: list | None = None, bend: float = 0.02):
    """A training whose score is a parabola in log2 lr, lowest where RULE says."""

    def train(cell):
        if trained is not None:
            trained.append(cell.lr)
        away = math.log2(cell.lr / rate_search.rate_of(RULE, cell))
        return {"score": 0.3 * (1 + bend * away**2)}

    return train


@pytest.mark.parametrize("start", [2.0**-14, 2.0**-9, 2.0**-5])
def test_the_walk_ends_at_the_bottom_and_trains_no_rate_twice(start):
    cell = rate_search.Cell(source="known", d_sae=1024, batch=512, tokens=512_000, lr=start)
    trained = []
    found = rate_search.search(valley(trained), cell)
    lowest = rate_search.rate_of(RULE, cell)
    assert abs(math.log2(found.best / lowest)) <= 0.5
    assert found.best / 2 in found.scores and found.best * 2 in found.scores
    assert len(trained) == len(set(trained))
    least, at, bend = found.parabola
    assert least == pytest.approx(0.3) and at == pytest.approx(math.log2(lowest)) and bend == pytest.approx(0.006)


def test_a_rate_that_diverges_is_walked_away_from():
    def train(cell):
        return {"score": None if cell.lr > 2e-3 else 0.5 - 100 * cell.lr}

    found = rate_search.search(train, rate_search.Cell(source="known", d_sae=64, batch=64, tokens=6400, lr=2.0**-7))
    assert found.best == 2.0**-9
    assert found.parabola is None


def test_the_loss_of_a_rate_is_read_off_the_parabola():
    cell = rate_search.Cell(source="known", d_sae=4096, batch=2048, tokens=2_048_000, lr=2.0**-8)
    found = rate_search.search(valley(), cell)
    least = min(found.scores.values())
    for octaves in (-0.9, -0.3, 0.2, 0.9):
        lr = found.best * 2**octaves
        score = valley()(replace(cell, lr=lr))["score"]
        assert found.loss_at(lr) == pytest.approx(score / least - 1, abs=1e-12)


def test_the_fit_is_the_rule_the_runs_obeyed():
    sizes = itertools.product((256, 4096), (256, 4096), (100_000, 1_600_000))
    cells = [rate_search.Cell(source="known", d_sae=d, batch=b, tokens=t, lr=2.0**-8) for d, b, t in sizes]
    bends = itertools.cycle((0.01, 0.03))
    found = [rate_search.search(valley(bend=bend), cell) for cell, bend in zip(cells, bends, strict=False)]
    fitted = rate_search.fit(found)
    # tokens // batch is not a power of two here, so steps are those of the cell.
    assert fitted == pytest.approx(RULE, rel=1e-9)
    assert rate_search.fit(found[:3]) == {}
