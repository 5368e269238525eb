"""`export_html`: a run's pages as a folder of files that open with no server and no network."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from dash import html
from dash.development.base_component import Component

from msae.core.config import require
from msae.core.errors import ConfigError
from msae_dashboards.address import Address, feature_href
from msae_dashboards.export import selection
from msae_dashboards.export.document import INDEX, Site, file_of
from msae_dashboards.export.index import index
from msae_dashboards.export.plotly_js import packed_plotly
from msae_dashboards.export.shared import Shared
from msae_dashboards.pages import PAGES, Page, feature
from msae_dashboards.panels import missing
from msae_dashboards.tables import MissingTableError, RunTables
from msae_dashboards.ways import beside

MARK = "export.json"
FORMAT = {"format": "msae html export", "format_version": 1}
DEFAULT_TOP = 100
OURS, SHARED = Path(__file__).parent, Path(__file__).parents[1] / "assets"
STYLES = (SHARED / "panels.css", SHARED / "panels_across.css", SHARED / "shell.css", OURS / "static.css")
SCRIPTS = (SHARED / "panels.js", SHARED / "token_strip.js", OURS / "draw.js", OURS / "static.js")


def export_html(
    run: str | Path,
    out: str | Path | None = None,
    *,
    features: Sequence[int] | None = None,
    level: int | None = None,
    top: int | None = None,
    by: str | None = None,
) -> Path:
    """Write the pages of the run at `run` to the folder `out` (``RUN/html`` unless given), and return it.

    Features are those given, or all of `level`, or the `top` largest by the column `by` of ``features`` or
    ``explanations``; without `by`, whole families of the tree (`selection.families`), 100 latents unless `top` says
    otherwise. Links to pages that are not exported are text. An earlier export at `out` is replaced, as a whole or not
    at all. Raises `ConfigError` when something else lies there, or for latents, a level or a column the run does not
    have; `MissingTableError` when the run is not analyzed; `CheckpointError` when there is no run.
    """
    tables = RunTables(run)
    latents = _selected(tables, features, level, top, by)
    folder = tables.run.folder.export if out is None else Path(out)
    _require_ours(folder)
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        _write(tables, latents, fresh)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    except OSError as error:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise ConfigError(
            f"could not write {folder}: {error}. Nothing was changed; check the disk and rights"
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _selected(
    tables: RunTables, features: Sequence[int] | None, level: int | None, top: int | None, by: str | None
) -> list[int]:
    ways = [name for name, given in (("features", features), ("level", level), ("top", top)) if given is not None]
    if len(ways) > 1:
        raise ConfigError(f"{' and '.join(ways)} were given together: choose features one way")
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
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        ours = json.loads((folder / MARK).read_text(encoding="utf-8")).get("format") == FORMAT["format"]
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        raise ConfigError(f"{folder} exists and is not an export of msae: choose another folder (--out), or remove it")


def _write(tables: RunTables, latents: Sequence[int], folder: Path) -> None:
    entries = list(_entries(tables, latents))
    site, shared = _site(tables, latents, entries), Shared()
    for entry in entries:
        at = site.files[entry.address.href]
        _write_text(folder / at, site.document(entry.render(), entry.title, at, shared))
    assets = folder / "assets"
    data = {**shared.as_json(), "latents": list(latents)}
    _write_text(assets / "data.js", f"msae.data = {json.dumps(data, separators=(',', ':'))};\n")
    _write_text(assets / "msae.css", "".join(path.read_text(encoding="utf-8") for path in STYLES))
    _write_text(assets / "msae.js", "".join(path.read_text(encoding="utf-8") for path in SCRIPTS))
    _write_text(assets / "plotly.js", f'msae.plotly = "{packed_plotly()}";\n')
    mark = {**FORMAT, "msae": version("msae"), "run": tables.title, "latents": list(latents)}
    _write_text(folder / MARK, json.dumps(mark) + "\n")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A page of the export in one state."""

    address: Address
    title: str
    render: Callable[[], Component]


def _entries(tables: RunTables, latents: Sequence[int]) -> Iterator[Entry]:
    for page in PAGES:
        if page.name == INDEX:
            render = partial(index, tables.features(), latents)
            yield Entry(address=Address(page=INDEX), title=page.title, render=render)
        elif page.name == feature.PAGE.name:
            for place, latent in enumerate(latents):
                render = partial(_feature, tables, latents, place)
                yield Entry(address=Address(page=page.name, latent=latent), title=f"Feature {latent}", render=render)
        elif page.exported:
            for address in (Address(page=page.name), *_states(page, tables, latents)):
                yield Entry(address=address, title=page.title, render=partial(_page, page, tables, address))


def _states(page: Page, tables: RunTables, latents: Sequence[int]) -> Sequence[Address]:
    try:
        return tuple(page.states(tables, latents))
    except MissingTableError:
        return ()


def _page(page: Page, tables: RunTables, address: Address) -> Component:
    try:
        return page.render(tables, address)
    except MissingTableError as error:
        return html.Div([html.H1(page.title), missing(error)], className="page")


def _feature(tables: RunTables, latents: Sequence[int], place: int) -> Component:
    """A feature's page whose ways lead through the exported ones, in their order."""
    latent = latents[place]
    before = latents[place - 1] if place > 0 else None
    after = latents[place + 1] if place + 1 < len(latents) else None
    anywhere = html.Button("random", type="button", className="way random")
    ways = [*beside(*(None if latent is None else feature_href(latent) for latent in (before, after))), anywhere]
    head = [
        html.H1(f"Feature {latent}"),
        html.Nav(ways, className="ways", **{"aria-label": "Other features"}),
        html.Span(f"{place + 1:,} of {len(latents):,} exported", className="count"),
    ]
    address = Address(page=feature.PAGE.name, latent=latent)
    return html.Div([html.Header(head), feature.columns(tables, address)], className="page")


def _site(tables: RunTables, latents: Sequence[int], entries: Sequence[Entry]) -> Site:
    files = {entry.address.href: file_of(entry.address) for entry in entries}
    return Site(
        run=tables.title,
        files=files,
        bar=tuple((page.title, page.href) for page in PAGES if page.listed and page.href in files),
        said=f"{len(latents):,} of {len(tables.features()):,} features, exported by msae {version('msae')}. "
        "The others are named but not linked; “msae dashboard RUN” shows them all.",
    )


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
