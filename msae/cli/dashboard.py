"""`msae dashboard` and `msae export-html`: a run's pages, served or as files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from msae.cli.output import say
from msae.cli.places import model_named
from msae.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """Open a browser on everything known about a run: levels, features, tree, splitting, absorption."""

    path: Positional[Path]
    """The run."""
    port: int | None = None
    """Port to serve on; by default the first free one from 8050."""
    browser: bool = True
    """Open a browser."""
    host: str = "127.0.0.1"
    """Address to serve on. Any other than this machine's own lets others read the run."""
    model: str | None = None
    """The model, if it has moved. Only the live prompt needs it."""

    def run(self) -> None:
        """Do it."""
        with dashboards_installed():
            from msae_dashboards.app.server import serve
        model = None if self.model is None else str(model_named(self.model))
        try:
            serve(self.path, port=self.port, host=self.host, model=model, browser=self.browser)
        except KeyboardInterrupt:
            say("")


@dataclass(frozen=True, kw_only=True)
class ExportHtml:
    """Write a run's pages as files that open with no server and no network."""

    path: Positional[Path]
    """The run."""
    out: Path | None = None
    """The folder to write, by default RUN/html. An earlier export there is replaced; nothing else is."""
    features: tuple[int, ...] = ()
    """Export these latents, by number."""
    level: int | None = None
    """Export all latents of this level."""
    top: int | None = None
    """Export this many latents: the largest by --by. Without --by: latents that split, and their children (100)."""
    by: str | None = None
    """A column of the tables features or explanations, such as density or f1."""
    few_files: bool = False
    """One file for each kind of page, with all its states compressed inside, instead of one for each state: a dozen
    files, a tenth as large."""

    def run(self) -> None:
        """Do it."""
        with dashboards_installed():
            from msae_dashboards.export import export_html
        folder = export_html(
            self.path,
            self.out,
            features=self.features or None,
            level=self.level,
            top=self.top,
            by=self.by,
            few_files=self.few_files,
        )
        say(f"Open {folder / 'index.html'}")


@contextmanager
def dashboards_installed() -> Iterator[None]:
    """Around an import of `msae_dashboards`: an error says how to install what is missing."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("dash", "dash_ag_grid", "flask", "markupsafe"):
            raise
        raise ConfigError(f"{error.name} is not installed: pip install 'msae[dashboards]'") from error
