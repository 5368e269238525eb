"""`export_html`: a run's pages as a folder of files that open with no server and no network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from markupsafe import Markup

from msae.core.config import require
from msae.core.errors import ConfigError, DiskError
from msae.core.leftovers import is_leftover, remove
from msae.core.replacing import REPLACED, beside, put_in_place, recover
from msae.runs.layout import EXPORT_MARK
from msae.runs.writing import writing
from msae_dashboards.address import Address
from msae_dashboards.data.tables import MissingTableError, RunTables
from msae_dashboards.export import selection
from msae_dashboards.export.document import INDEX, Site, file_of, place_of, root_of, state_of
from msae_dashboards.pages import FEATURE, PAGES, Page
from msae_dashboards.view import assets
from msae_dashboards.view.html import Frame, document, packed_sections, writer

FORMAT = {"format": "msae html export", "format_version": 2}
DEFAULT_TOP = 100
OURS = Path(__file__).parent
SCRIPTS = (OURS / "index.js", OURS / "sections.js")
POLICY = "default-src 'self' file: data: blob: 'unsafe-inline' 'unsafe-eval'"


def export_html(
    run: str | Path,
    out: str | Path | None = None,
    *,
    features: Sequence[int] | None = None,
    level: int | None = None,
    top: int | None = None,
    by: str | None = None,
    few_files: bool = False,
) -> Path:
    """Write the pages of the run at `run` to the folder `out` (``RUN/html`` unless given), and return it.

    Features are those given, or all of `level`, or the `top` largest by the column `by` of ``features`` or
    ``explanations``; without `by`, whole families of the tree (`selection.families`), 100 latents unless `top` says
    otherwise. Links to pages that are not exported are text. An earlier export at `out` is replaced, as a whole or not
    at all.

    `few_files`: one file for each kind of page, which holds all its states compressed, instead of one for each state:
    a dozen files, a tenth as large, of which none shows anything to a browser without scripts.

    Raises `ConfigError` when something else lies there, or for latents, a level or a column the run does not have;
    `BusyError` when another process exports there or trains the run, `DiskError` when the disk is full;
    `MissingTableError` when the run is not analyzed; `CheckpointError` when there is no run.
    """
    tables = RunTables(run)
    latents = _selected(tables, features, level, top, by)
    folder = (tables.run.folder.export if out is None else Path(out)).resolve()
    _require_ours(folder)
    with writing(folder, doing="exporting to"):
        recover(folder)
        _require_ours(folder)
        fresh = beside(folder)
        with writing(fresh, doing="exporting to"):
            try:
                for entry in fresh.iterdir():
                    remove(entry)
                _write(tables, latents, fresh, few_files)
            except BaseException as error:
                shutil.rmtree(fresh, ignore_errors=True)
                if not isinstance(error, OSError):
                    raise
                raise DiskError(f"could not write {folder}: {error}. Nothing was changed; check the disk") from error
            _require_ours(folder)
            put_in_place(folder)
    return folder


def _selected(
    tables: RunTables, features: Sequence[int] | None, level: int | None, top: int | None, by: str | None
) -> list[int]:
    given = [name for name, value in (("features", features), ("level", level), ("top", top)) if value is not None]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} were given together: choose features by one of them")
    require(by is None or top is not None, "by", by, "a column for --top N to go by; give N")
    if features is not None:
        return selection.listed(tables, features)
    if level is not None:
        return selection.of_level(tables, level)
    if top is not None and by is not None:
        return selection.top(tables, top, by)
    return selection.families(tables, DEFAULT_TOP if top is None else top)


def _require_ours(folder: Path) -> None:
    """Raise `ConfigError` unless `folder` is free, empty, or an export."""
    if not folder.exists():
        return
    if folder.is_dir() and all(entry.name == REPLACED or is_leftover(entry) for entry in folder.iterdir()):
        return
    try:
        ours = json.loads((folder / EXPORT_MARK).read_text(encoding="utf-8")).get("format") == FORMAT["format"]
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        raise ConfigError(f"{folder} exists and is not an export of msae: choose another folder (--out), or remove it")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A page of the export in one state."""

    page: Page
    address: Address


def _entries(tables: RunTables, latents: Sequence[int]) -> Iterator[Entry]:
    for page in PAGES:
        if page is FEATURE:
            for latent in latents:
                yield Entry(page=page, address=Address(page=page.name, latent=latent))
        elif page.exported:
            yield Entry(page=page, address=Address(page=page.name))
            for address in _states(page, tables, latents):
                yield Entry(page=page, address=address)


def _states(page: Page, tables: RunTables, latents: Sequence[int]) -> Sequence[Address]:
    try:
        return tuple(page.states(page.visit(tables, Address(page=page.name)), latents))
    except MissingTableError:
        return ()


def _write(tables: RunTables, latents: Sequence[int], folder: Path, few_files: bool) -> None:
    entries = list(_entries(tables, latents))
    place = place_of if few_files else file_of
    site = Site(places={entry.address.href: place(entry.address) for entry in entries})
    footer = (
        f"{len(latents):,} of {len(tables.features()):,} features, exported by msae {version('msae')}. "
        "The others are named but not linked; “msae dashboard RUN” shows them all."
    )
    for at, own in groupby(entries, key=lambda entry: place(entry.address).partition("#")[0]):
        _write_text(folder / at, _document(tables, latents, site, at, list(own), footer, few_files))
    shared = folder / "assets"
    _write_text(shared / "msae.css", assets.style_sheet())
    _write_text(shared / "msae.js", assets.script() + "".join(path.read_text(encoding="utf-8") for path in SCRIPTS))
    _write_text(shared / "plotly.js", f'msae.plotly = "{assets.packed_plotly()}";\n')
    mark = {**FORMAT, "msae": version("msae"), "run": tables.title, "latents": list(latents)}
    _write_text(folder / EXPORT_MARK, json.dumps(mark) + "\n")


def _document(
    tables: RunTables, latents: Sequence[int], site: Site, at: str, entries: Sequence[Entry], footer: str, packed: bool
) -> str:
    """A file: the one state it is of, or all states of a page."""
    root, page = root_of(at), entries[0].page
    listed = [each for each in PAGES if each.listed and each.href in site.places]
    frame = Frame(
        run=tables.title,
        root=root,
        suffix=".html",
        bar=[(each.title, root + site.places[each.href], each is page) for each in listed],
        styles=[f"{root}assets/msae.css"],
        scripts=[f"{root}assets/msae.js"],
        plotly="assets/plotly.js",
        policy=POLICY,
        footer=footer,
    )
    written = {}
    for entry in entries:
        body, _ = page.render(tables, entry.address, latents)
        written[state_of(entry.address)] = (body.full_title, writer(site.href_from(at))(body))
    if packed and page.name != INDEX:
        return document(frame, page.title, Markup(""), end=packed_sections(written))
    ((title, inner),) = written.values()
    return document(frame, title, inner)


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
