"""`feature`: the panels of a latent's page as the output of a cell, with everything they need inside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from msae.core.files import write_atomically
from msae.runs.record import RunRecord
from msae_dashboards.address import Address
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages import FEATURE
from msae_dashboards.pages.feature.page import columns
from msae_dashboards.pages.latents import latent_of
from msae_dashboards.view import assets
from msae_dashboards.view.html import cell, framed, writer
from msae_dashboards.view.nodes import Body

SCRIPT = Path(__file__).parent / "cell.js"
HEIGHT = 900


@dataclass(frozen=True)
class FeatureCell:
    """A latent's panels. In a notebook it shows itself; `document` is a whole HTML page that needs nothing else."""

    title: str
    document: str

    def _repr_html_(self) -> str:
        """A frame that holds the page, so that neither's style nor script reaches the other."""
        return framed(self.title, HEIGHT, document=self.document)

    def write_html(self, path: str | Path) -> Path:
        """Write the page to a file, whole or not at all, and return its path."""
        write_atomically(Path(path), lambda temporary: _write_text(temporary, self.document))
        return Path(path)

    def __repr__(self) -> str:
        return f"FeatureCell({self.title!r})"


def feature(run: str | Path | RunRecord, latent: int) -> FeatureCell:
    """The feature page's panels of one latent of `run` (a run or its folder), to be shown in a notebook's cell.

    It needs neither a server nor a network. Raises `CheckpointError` when there is no run, `MissingTableError` when it
    is not analyzed, `UnknownLatentError` when it has no such latent.
    """
    visit = FEATURE.visit(
        RunTables(run.path if isinstance(run, RunRecord) else run), Address(page=FEATURE.name, latent=latent)
    )
    title = f"Feature {latent_of(visit)} of {visit.tables.title}"
    write = writer(_nowhere)
    inner = write(Body(title, columns(visit)))
    script = assets.script() + SCRIPT.read_text(encoding="utf-8")
    plotly = assets.packed_plotly() if write.figures else ""
    return FeatureCell(title, cell(title, inner, style=assets.style_sheet(), script=script, plotly=plotly))


def _nowhere(href: str) -> str | None:
    """A cell has no other pages."""
    return None


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
