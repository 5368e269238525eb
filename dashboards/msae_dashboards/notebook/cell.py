"""`feature`: the panels of a latent's page as the output of a cell, with everything they need inside it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from string import Template

from dash import html as dhtml

from msae.core.files import write_atomically
from msae.training import Run
from msae_dashboards.address import Address
from msae_dashboards.export.plotly_js import packed_plotly
from msae_dashboards.export.shared import Shared
from msae_dashboards.pages import feature as feature_page
from msae_dashboards.panels.latent import latent_of
from msae_dashboards.tables import RunTables
from msae_dashboards.to_html import embedded, to_html

OURS, ASSETS, EXPORT = Path(__file__).parent, Path(__file__).parents[1] / "assets", Path(__file__).parents[1] / "export"
STYLES = (ASSETS / "panels.css", OURS / "cell.css")
SCRIPTS = (ASSETS / "panels.js", ASSETS / "token_strip.js", EXPORT / "draw.js", OURS / "cell.js")
DOCUMENT = Template((OURS / "cell.html").read_text(encoding="utf-8"))
HEIGHT = 900


@dataclass(frozen=True)
class FeatureCell:
    """A latent's panels. In a notebook it shows itself; `document` is a whole HTML page that needs nothing else."""

    title: str
    document: str

    def _repr_html_(self) -> str:
        """A frame that holds the page, so that neither's style nor script reaches the other."""
        return (
            f'<iframe title="{html.escape(self.title)}" style="width:100%;height:{HEIGHT}px;border:0" '
            f'srcdoc="{html.escape(self.document)}"></iframe>'
        )

    def write_html(self, path: str | Path) -> Path:
        """Write the page to a file, whole or not at all, and return its path."""
        write_atomically(Path(path), lambda temporary: _write_text(temporary, self.document))
        return Path(path)

    def __repr__(self) -> str:
        return f"FeatureCell({self.title!r})"


def feature(run: str | Path | Run, latent: int) -> FeatureCell:
    """The feature page's panels of one latent of `run` (a run or its folder), to be shown in a notebook's cell.

    It needs neither a server nor a network. Raises `CheckpointError` when there is no run, `MissingTableError` when it
    is not analyzed, `UnknownLatentError` when it has no such latent.
    """
    tables = RunTables(run.path if isinstance(run, Run) else run)
    address = Address(page=feature_page.PAGE.name, latent=latent)
    title = f"Feature {latent_of(tables, address)} of {tables.title}"
    shared = Shared()
    body = dhtml.Div([dhtml.H1(title), feature_page.columns(tables, address)], className="page")
    inner = to_html(body, _nowhere, shared.compact)
    document = DOCUMENT.substitute(
        title=html.escape(title),
        style=_joined(STYLES),
        body=inner,
        scripts=_joined(SCRIPTS),
        data=embedded(shared.as_json()),
        plotly=packed_plotly() if 'class="plot"' in inner else "",
    )
    return FeatureCell(title, document)


def _nowhere(href: str) -> str | None:
    """A cell has no other pages."""
    return None


def _joined(paths: tuple[Path, ...]) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in paths)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
