"""The example dashboard that lies in the repository: whole, small enough, opens from disk, and made by what is here."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path

import pytest

from msae_dashboards.export.write import FORMAT

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "dashboards" / "demo"
MOST_BYTES, MOST_FILES, LEAST_FEATURES = 3_000_000, 25, 24


@pytest.fixture(scope="module")
def mark() -> dict:
    return json.loads((SHIPPED / "export.json").read_text())


def sections(path: Path) -> dict[str, list[str]]:
    """What a file holds, by name: title and HTML."""
    packed = re.search(r'id="sections"[^>]*>([^<]*)<', path.read_text(encoding="utf-8"))
    return json.loads(gzip.decompress(base64.b64decode(packed[1]))) if packed else {}


def panels(html: str) -> list[str]:
    return re.findall(r'class="panel ([\w-]+)"', html)


def test_it_is_small_enough_and_of_some_features(mark) -> None:
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert len(files) <= MOST_FILES and sum(path.stat().st_size for path in files) <= MOST_BYTES
    assert len(mark["latents"]) >= LEAST_FEATURES
    assert set(sections(SHIPPED / "feature.html")) == set(map(str, mark["latents"]))


def test_it_is_what_is_written_now_on_another_run(mark, few_files) -> None:
    assert FORMAT.items() <= mark.items()
    names = [{path.relative_to(each).as_posix() for path in each.rglob("*.*")} for each in (SHIPPED, few_files)]
    assert names[0] == names[1]
    for path in few_files.glob("*.html"):
        ours, theirs = (sections(folder / path.name) for folder in (few_files, SHIPPED))
        assert {tuple(panels(inner)) for _, inner in ours.values()} == {
            tuple(panels(inner)) for _, inner in theirs.values()
        }


def test_every_reference_leads_to_a_file_and_to_a_part_of_it() -> None:
    held = {path.name: sections(path) for path in SHIPPED.glob("*.html")}
    for name, parts in held.items():
        texts = [(SHIPPED / name).read_text(encoding="utf-8"), *(inner for _, inner in parts.values())]
        for reference in [found for text in texts for found in re.findall(r' (?:href|src)="([^"]*)"', text)]:
            if reference.startswith(("data:", "#")):
                continue
            target, _, part = reference.partition("#")
            assert (SHIPPED / target.partition("?")[0]).is_file(), (name, reference)
            assert not part or part in held[target], (name, reference)


def test_it_names_nothing_of_the_machine_that_made_it() -> None:
    texts = [path.read_text(encoding="utf-8") for path in [*SHIPPED.glob("*.html"), SHIPPED / "export.json"]]
    texts += [inner for path in SHIPPED.glob("*.html") for _, inner in sections(path).values()]
    for text in texts:
        assert not re.search(r"(?<![\w.])/(home|root|work|tmp|Users)/", text)


def test_it_opens_from_disk(mark, open_page) -> None:
    page = open_page((SHIPPED / "index.html").as_uri())
    page.wait_for_selector("#page h1")
    page.wait_for_function("[...document.querySelectorAll('.plot')].every(plot => plot.data)")
    page.keyboard.press("/")
    page.keyboard.type(str(mark["latents"][0]))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/feature.html#{mark['latents'][0]}")
    page.wait_for_function("document.querySelectorAll('.strip').length > 5")
