"""A whole export: its files, its links, what it replaces and what it leaves alone."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from msae.core.errors import BusyError, CheckpointError, ConfigError, DiskError
from msae_dashboards import export_html
from msae_dashboards.data.tables import MissingTableError
from msae_dashboards.export import write
from tests.dashboards.export.conftest import CHOSEN, pages_of

LARGEST_PAGE = 120_000
ACROSS = ("tree*", "splitting*", "absorption*", "concept*", "level_*", "rate_distortion*", "compare")


@pytest.fixture(scope="module")
def feature_run(demo_run, tmp_path_factory):
    """The small run with the tables of the feature pages alone, whose export is quick."""
    path = tmp_path_factory.mktemp("features") / "run"
    shutil.copytree(demo_run.path, path, ignore=shutil.ignore_patterns(*ACROSS))
    return path


def test_the_folder_holds_the_pages_and_one_of_each_shared_file(exported):
    names = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert {f"feature/{latent}.html" for latent in CHOSEN} == {name for name in names if name.startswith("feature/")}
    assert {"index.html", "features.html", "export.json"} <= names
    shared = {name for name in names if name.startswith("assets/")}
    assert shared == {"assets/plotly.js", "assets/msae.js", "assets/msae.css"}
    assert json.loads((exported / "export.json").read_text())["latents"] == list(CHOSEN)


def test_few_files_are_one_for_each_page(few_files, exported):
    names = {path.relative_to(few_files).as_posix() for path in few_files.rglob("*") if path.is_file()}
    pages = {"index", "run", "features", "feature", "tree", "splitting", "absorption", "compare"}
    assert names == {
        *(f"{page}.html" for page in pages),
        "export.json",
        *(f"assets/{name}" for name in ("plotly.js", "msae.js", "msae.css")),
    }
    size = lambda folder: sum(path.stat().st_size for path in folder.rglob("*.html"))
    assert size(few_files) < 0.5 * size(exported)


def without_references(text):
    return re.sub(r' (href|data-among)="[^"]*"', "", text)


def test_few_files_hold_what_many_hold(few_files, exported, demo_run):
    """The same bodies, but for where their links lead."""
    many = {name: page.path.read_text(encoding="utf-8") for name, page in pages_of(exported).items()}
    found = 0
    for path in few_files.glob("*.html"):
        packed = re.search(r'id="sections"[^>]*>([^<]*)<', path.read_text(encoding="utf-8"))
        sections = json.loads(gzip.decompress(base64.b64decode(packed[1]))) if packed else {}
        for state, (title, inner) in sections.items():
            whole = many[f"{path.stem}/{state}.html" if state else path.name]
            assert without_references(inner) in without_references(whole)
            assert f"<title>{title} · " in whole
            found += 1
    assert found == len(many) - 1  # the index of features is as it is


def test_every_link_resolves_and_none_leaves_the_folder(exported):
    for page in pages_of(exported).values():
        assert page.refers
        for reference in page.refers:
            parts = urlsplit(reference)
            if reference.startswith("data:image/svg+xml,"):
                continue
            assert not parts.scheme and not parts.netloc and not reference.startswith("/"), reference
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            assert target.is_file() and target.is_relative_to(exported.resolve()), f"{page.path}: {reference}"


def test_links_to_features_that_are_not_exported_are_text(exported):
    for page in pages_of(exported).values():
        linked = {ref.rsplit("/", 1)[-1] for ref in page.refers if re.search(r"feature/\d+\.html", ref)}
        assert linked <= {f"{latent}.html" for latent in CHOSEN}


def test_previous_and_next_go_through_the_exported_ones(exported):
    pages = pages_of(exported)
    for place, latent in enumerate(CHOSEN):
        moves = {given["class"]: given.get("href") for _, given in pages[f"feature/{latent}.html"].tags
                 if (given.get("class") or "").startswith("move ")}  # fmt: skip
        after, before = CHOSEN[place + 1 : place + 2], CHOSEN[place - 1 : place] if place else ()
        assert moves.get("move next") == (f"../feature/{after[0]}.html" if after else None)
        assert moves.get("move previous") == (f"../feature/{before[0]}.html" if before else None)


def test_pages_are_small(exported):
    for name, page in pages_of(exported).items():
        assert page.path.stat().st_size <= LARGEST_PAGE, name


def test_nothing_of_this_machine_is_in_the_pages(exported, demo_run):
    for page in pages_of(exported).values():
        assert str(Path.home()) not in page.path.read_text(encoding="utf-8")


def test_the_same_run_gives_the_same_bytes(exported, demo_run, tmp_path):
    again = export_html(demo_run.path, tmp_path / "again", features=CHOSEN)
    for path in exported.rglob("*.*"):
        assert path.read_bytes() == (again / path.relative_to(exported)).read_bytes(), path


def test_an_earlier_export_is_replaced_as_a_whole(feature_run, tmp_path):
    out = tmp_path / "html"
    export_html(feature_run, out, features=[1, 2])
    export_html(feature_run, out, features=[2])
    assert [path.name for path in (out / "feature").iterdir()] == ["2.html"]
    assert [path.name for path in tmp_path.iterdir()] == ["html"]


def test_what_is_no_export_is_left_alone(demo_run, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    (tmp_path / "file").write_text("precious")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "export.json").write_text("[1]")
    for name in ("thesis", "file", "other"):
        with pytest.raises(ConfigError, match=f"{name} exists and is not an export"):
            export_html(demo_run.path, tmp_path / name, features=[1])
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == (tmp_path / "file").read_text() == "precious"


def test_a_failure_leaves_the_earlier_export_and_no_debris(feature_run, tmp_path, monkeypatch):
    out = export_html(feature_run, tmp_path / "html", features=[1])
    before = {path: path.read_bytes() for path in out.rglob("*.*")}

    def full_disk(path, text):
        if path.name == "2.html":
            raise OSError(28, "No space left on device")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    monkeypatch.setattr(write, "_write_text", full_disk)
    with pytest.raises(DiskError, match="No space left"):
        export_html(feature_run, out, features=[1, 2])
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["html"]


def test_an_export_that_is_killed_leaves_the_earlier_one_and_is_cleared_by_the_next(
    feature_run, tmp_path, killed_after
):
    out = export_html(feature_run, tmp_path / "html", features=[1])
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    step, olds = 0, set()
    while killed_after(step, lambda: export_html(feature_run, out, features=[2])):
        found = {path: path.read_bytes() for path in out.rglob("[!.]*.*")}
        olds.add(found == before)
        assert found == before or (out / "feature" / "2.html").is_file(), step
        assert export_html(feature_run, out, features=[1]) == out
        assert {path: path.read_bytes() for path in out.rglob("*.*")} == before, step
        assert [path.name for path in tmp_path.iterdir()] == ["html"], step
        step += 12
    assert True in olds


def test_two_exports_to_one_folder_do_not_mix(feature_run, tmp_path, monkeypatch):
    real, tried = write._write, []

    def meanwhile(*arguments):
        with pytest.raises(BusyError, match="another process is exporting to"):
            export_html(feature_run, tmp_path / "html", features=[2])
        tried.append(True)
        real(*arguments)

    monkeypatch.setattr(write, "_write", meanwhile)
    export_html(feature_run, tmp_path / "html", features=[1])
    assert tried and (tmp_path / "html" / "feature" / "1.html").is_file()


def test_a_run_that_cannot_be_exported_says_why_and_writes_nothing(demo_run, tmp_path):
    with pytest.raises(CheckpointError, match="not a run"):
        export_html(tmp_path, tmp_path / "html")
    bare = tmp_path / "bare"
    shutil.copytree(demo_run.path, bare, ignore=shutil.ignore_patterns("results"))
    with pytest.raises(MissingTableError, match=r"features\.parquet does not exist.*msae analyze"):
        export_html(bare, tmp_path / "html")
    assert not (tmp_path / "html").exists()


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"features": [1], "level": 0}, "features and level were given together"),
        ({"by": "density"}, "by = 'density'"),
        ({"features": [1], "by": "density"}, "by = 'density'"),
        ({"features": []}, "features"),
        ({"features": [128]}, "features = 128"),
    ],
)
def test_a_contradictory_choice_is_refused(demo_run, tmp_path, choice, says):
    with pytest.raises(ConfigError, match=says):
        export_html(demo_run.path, tmp_path / "html", **choice)
    assert not (tmp_path / "html").exists()


def test_a_run_half_analyzed_exports_pages_that_say_what_to_run(feature_run, tmp_path):
    half = tmp_path / "half"
    shutil.copytree(feature_run, half)
    (half / "results" / "pairs.parquet").write_bytes(b"PAR1 cut short")
    out = export_html(half, features=[5])
    assert out == half / "html"
    text = (out / "feature" / "5.html").read_text(encoding="utf-8")
    assert "“pairs”" in text and "msae analyze" in text
