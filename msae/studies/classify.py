"""How good every level of a code is at telling classes apart, and where a row may stop: tables and a figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from msae.analysis.rendering import ShownTable
from msae.analysis.tables import WORD, Column, TableSpec, by_column, make_table, write_tables
from msae.core.checked import checked
from msae.nested.class_rows import LabelledRows
from msae.nested.classification import LevelClassifiers
from msae.nested.code import NestedCode
from msae.nested.early_exit import EarlyExit, choose_thresholds

if TYPE_CHECKING:
    from rich.console import Group

SHARE = "fraction of rows"
LEVELS_OF_CLASSES = TableSpec(
    "classify_levels",
    "a level of a code: how often it names the right class, and how many rows stop there",
    Column("level", pa.int32(), "0 is the smallest"),
    Column("width", pa.int32(), "numbers a code has"),
    Column("bytes", pa.float64(), "bytes one code takes where it is stored", "bytes", digits=1),
    Column("accuracy", pa.float64(), "rows that its classifier names the right class of, all rows", SHARE, digits=3),
    Column("threshold", pa.float64(), "softmax probability from which on it answers; none where it may not", digits=3),
    Column("stops", pa.float64(), "rows that are answered here when they stop early", SHARE, "stop here", 3),
)
CLASSES = TableSpec(
    "classify_classes",
    "a class: which levels it needs",
    Column("class", WORD, "its name"),
    Column("rows", pa.int32(), "rows of it that were measured on"),
    Column("accuracy", pa.list_(pa.float64()), "of every level, on these rows", SHARE, "accuracy by level", 2),
    Column("exit_accuracy", pa.float64(), "when rows stop early", SHARE, digits=2),
    Column("expected_width", pa.float64(), "numbers read until its rows stop, mean", digits=1),
    Column(
        "z", pa.float64(), "distance of that from all rows' mean, in standard errors of as many rows drawn", digits=1
    ),
)


@dataclass(frozen=True, kw_only=True)
class Classified:
    """Tables `levels` and `classes`, how early exit does, and on which rows."""

    exit: EarlyExit
    own_classifiers: bool
    n_valid: int
    tolerance: float

    @property
    def levels(self) -> list[dict[str, Any]]:
        """A row a level (`LEVELS_OF_CLASSES`)."""
        return self.exit.by_level()

    @property
    def classes(self) -> list[dict[str, Any]]:
        """A row a class (`CLASSES`), those that go deepest first."""
        return self.exit.by_class()

    @property
    def notes(self) -> list[str]:
        """What a reader must know, a sentence each."""
        judged, out = self.exit.judged, self.exit
        full = judged.widths[-1]
        smallest = judged.smallest_within(self.tolerance)
        kind = "trained with the code" if self.own_classifiers else "softmax regressions on its codes"
        return [
            f"Measured on {judged.label.numel():,} rows; {self.n_valid:,} others chose thresholds"
            f"{'' if self.own_classifiers else ' and penalties'}. Classifiers: {kind}.",
            f"Smallest width within {self.tolerance:.1%} of the full width's accuracy: {smallest} of {full} numbers.",
            f"Early exit: {out.expected_width:.1f} numbers ({out.expected_bytes:,.1f} bytes) a row on average, "
            f"accuracy {out.accuracy:.3f} against {judged.accuracy[-1]:.3f} at the full width.",
        ]

    def figure(self) -> Any:
        """A plotly figure: accuracy by bytes, and the numbers that each class needs."""
        from msae.plots.classification import classification_figure

        point = (self.exit.expected_bytes, self.exit.accuracy)
        return classification_figure(self.levels, self.classes, point)

    def write(self, folder: Path | str) -> list[Path]:
        """Write both tables and the figure to `folder`, and return their paths."""
        from msae.plots.theme import write_html

        folder = Path(folder)
        about = {"notes": " ".join(self.notes)}
        specs = ((LEVELS_OF_CLASSES, self.levels), (CLASSES, self.classes))
        tables = {spec.name: make_table(spec, by_column(spec, rows), about) for spec, rows in specs}
        return [*write_tables(tables, folder), write_html(self.figure(), folder / "classify.html")]

    def __rich__(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        return Group(*self._shown(), Text("\n".join(self.notes)))

    def _repr_html_(self) -> str:
        from html import escape

        return "".join(table.html() for table in self._shown()) + "".join(f"<p>{escape(n)}</p>" for n in self.notes)

    def _shown(self) -> list[ShownTable]:
        rows, ends = self.classes, 8
        kept = rows if len(rows) <= 2 * ends else [*rows[:ends], *rows[-ends:]]
        which = "" if kept is rows else f"; the {ends} deepest and the {ends} shallowest of {len(rows)}"
        return [
            ShownTable.of(LEVELS_OF_CLASSES, self.levels, title="What each level is worth"),
            ShownTable.of(CLASSES, kept, title=f"Which classes need the deep levels{which}"),
        ]


@checked
def classify(
    code: NestedCode,
    test: LabelledRows,
    train: LabelledRows | None = None,
    *,
    valid_share: float = 0.2,
    tolerance: float = 0.005,
    seed: int = 0,
) -> Classified:
    """Measure every level of `code` on `test`, and early exit.

    `train`: rows to fit softmax regressions on; None for the classifiers that the code was trained with. Penalties and
    thresholds are chosen on `valid_share` of the rows of `test`, which are then not measured on: rows that a code was
    trained on would be answered with more confidence than others.

    Raises `ConfigError` for a code without classifiers and no `train`, classes that were not trained for, and shares
    out of range.
    """
    valid, rest = test.split(valid_share, seed=seed)
    fitted = LevelClassifiers.trained(code) if train is None else LevelClassifiers.fit(code, train, valid)
    thresholds = choose_thresholds(fitted.judge(valid), tolerance)
    out = EarlyExit.of(fitted.judge(rest), thresholds)
    return Classified(exit=out, own_classifiers=train is None, n_valid=len(valid), tolerance=tolerance)
