"""The example dashboard that lies in the repository: whole, small enough, opens from disk, and made by what is here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from msae_dashboards.export.write import FORMAT
from tests.dashboards.export.conftest import pages_of

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "dashboards" / "demo"
MOST_BYTES = 8_000_000


@pytest.fixture(scope="module")
def mark() -> dict:
    return json.loads((SHIPPED / "export.json").read_text())


def kinds(folder: Path) -> set[str]:
    """The files of an export, whichever latents and levels it is of."""
    return {re.sub(r"\d+", "N", path.relative_to(folder).parts[0]) for path in folder.rglob("*") if path.is_file()}


def test_it_is_small_enough_and_of_some_hundred_features(mark) -> None:
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) <= MOST_BYTES
    assert len(mark["latents"]) >= 100
    assert {path.stem for path in (SHIPPED / "feature").iterdir()} == set(map(str, mark["latents"]))


def test_it_is_what_is_written_now_on_another_run(mark, exported) -> None:
    assert FORMAT.items() <= mark.items()
    assert kinds(exported) == kinds(SHIPPED)
    panels = {name: page.panels for name, page in pages_of(exported).items() if "/" not in name}
    assert panels == {name: page.panels for name, page in pages_of(SHIPPED).items() if "/" not in name}


def test_every_reference_leads_to_a_file(mark) -> None:
    for name, page in pages_of(SHIPPED).items():
        for reference in page.refers:
            target = reference.partition("?")[0].partition("#")[0]
            assert not target or (SHIPPED / name).parent.joinpath(target).resolve().is_file(), (name, reference)


def test_it_names_nothing_of_the_machine_that_made_it() -> None:
    for path in [*SHIPPED.rglob("*.html"), SHIPPED / "assets" / "data.js", SHIPPED / "export.json"]:
        assert not re.search(r"(?<![\w.])/(home|root|work|tmp|Users)/", path.read_text(encoding="utf-8")), path


def test_it_opens_from_disk(mark, open_page) -> None:
    page = open_page((SHIPPED / "index.html").as_uri())
    page.wait_for_function("[...document.querySelectorAll('.plot')].every(plot => plot.data)")
    page.keyboard.press("/")
    page.keyboard.type(str(mark["latents"][0]))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/feature/{mark['latents'][0]}.html")
    page.wait_for_function("[...document.querySelectorAll('.plot')].every(plot => plot.data)")
    assert page.locator(".strip").count() > 5
