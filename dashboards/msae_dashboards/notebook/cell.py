"""`feature` and `nest`: a latent's panels, or a text at every level, as a cell's output that needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from msae.core.files import write_atomically
from msae.runs.record import RunRecord
from msae_dashboards.address import Address
from msae_dashboards.data.tables import RunTables
from msae_dashboards.live import LiveModel
from msae_dashboards.pages import FEATURE
from msae_dashboards.pages.feature.page import columns
from msae_dashboards.pages.latents import latent_of
from msae_dashboards.pages.nest import shown
from msae_dashboards.pages.nest.text import HINT, said
from msae_dashboards.view import assets
from msae_dashboards.view.html import cell, framed, writer
from msae_dashboards.view.nodes import Body, Box

SCRIPT = Path(__file__).parent / "cell.js"
HEIGHT = 900


@dataclass(frozen=True)
class Cell:
    """In a notebook it shows itself; `document` is a whole HTML page that needs nothing else."""

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
        return f"{type(self).__name__}({self.title!r})"


class FeatureCell(Cell):
    """A latent's panels."""


class NestCell(Cell):
    """A text, read at every level."""


def feature(run: str | Path | RunRecord, latent: int) -> FeatureCell:
    """The feature page's panels of one latent of `run` (a run or its folder), to be shown in a notebook's cell.

    It needs neither a server nor a network. Raises `CheckpointError` when there is no run, `MissingTableError` when it
    is not analyzed, `UnknownLatentError` when it has no such latent.
    """
    visit = FEATURE.visit(
        RunTables(run.path if isinstance(run, RunRecord) else run), Address(page=FEATURE.name, latent=latent)
    )
    title = f"Feature {latent_of(visit)} of {visit.tables.title}"
    return FeatureCell(title, _document(title, Body(title, columns(visit))))


def nest(run: str | Path | RunRecord, text: str, *, model: str | None = None) -> NestCell:
    """`text` as every level of `run` reads it, to be shown in a notebook's cell; the run must be analyzed.

    It opens the model that the run was trained on, from where the run says it is or from `model`. Raises
    `CheckpointError` when there is no run, `MissingTableError` when it is not analyzed, `UnavailableModelError` when
    the model is not to be had, `EvaluationError` for a text without a token or with more than 1,000.
    """
    tables = RunTables(run.path if isinstance(run, RunRecord) else run)
    tables.require("features")
    live = LiveModel(tables.run.path, model)
    try:
        rows = live.read_levels(text)
    finally:
        live.close()
    title = f"A text at every level of {tables.title}"
    box = Box("nest-text", "", [said(rows), shown.nest(tables, rows, None)], label=title, hint=HINT)
    return NestCell(title, _document(title, Body(title, box)))


def _document(title: str, body: Body) -> str:
    write = writer(_nowhere)
    inner = write(body)
    script = assets.script() + SCRIPT.read_text(encoding="utf-8")
    plotly = assets.packed_plotly() if write.figures else ""
    return cell(title, inner, style=assets.style_sheet(), script=script, plotly=plotly)


def _nowhere(href: str) -> str | None:
    """A cell has no other pages."""
    return None


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
