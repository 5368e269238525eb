"""What of the demo can be refused is refused before anything is computed, and nothing is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from msae.core.errors import MsaeError
from msae.studies import demo
from msae.studies.demo import DemoSettings, run_demo


@pytest.fixture
def no_harvest(monkeypatch):
    def refuse(*arguments, **settings):
        raise AssertionError("it harvests before it looks")

    monkeypatch.setattr(demo, "harvest", refuse)


@pytest.mark.parametrize(
    ("settings", "acts", "says"),
    [
        ({"widths": ()}, "acts", "widths"),
        ({"widths": (64, 32)}, "acts", "widths"),
        ({"widths": (64, 256), "k": 1000}, "acts", "k"),
        ({"layer": 99}, "acts", "no layer 99"),
        ({"train_tokens": 100}, "acts", "n_tokens = 100"),
        ({"harvest_tokens": 0}, "acts", "harvest_tokens = 0"),
        ({}, "run/acts", "would lie in the run"),
        ({}, "acts", "exists and is not a run"),
    ],
)
@pytest.mark.parametrize("replace", [False, True])
def test_the_demo_looks_before_it_harvests(tmp_path: Path, no_harvest, settings, acts, says, replace) -> None:
    if says == "exists and is not a run":
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "thesis.tex").write_text("precious")
        says = "not a run"
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(MsaeError, match=says):
        run_demo(DemoSettings(**settings), tmp_path / "run", tmp_path / acts, replace=replace, progress=False)
    assert sorted(tmp_path.rglob("*")) == before
