"""`msae classify`: how good every level of a code is at telling classes apart, and where a row may stop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msae.cli.output import say, show
from msae.core.errors import ConfigError

if TYPE_CHECKING:
    from msae.nested import NestedCode
    from msae.nested.class_rows import LabelledRows


@dataclass(frozen=True, kw_only=True)
class Classify:
    """Measure how good every level of a nested code is at telling classes apart, and where a row may stop."""

    code: Path
    """The code (msae nest)."""
    test: Path
    """A store of one row a document to measure on, which the code was not fitted on."""
    test_labels: Path
    """A table (CSV, JSON lines, Parquet) with a row for each of the store's, in order."""
    out: Path
    """Folder for the tables and the figure."""
    train: Path | None = None
    """A store to fit classifiers on; without it, those that the code was trained with."""
    train_labels: Path | None = None
    """The table of its labels."""
    label_column: str = "label"
    """The column that holds the classes."""
    valid_share: float = 0.2
    """Share of the rows of --test that choose penalties and thresholds, and are not measured on."""
    tolerance: float = 0.005
    """Share of rows that stopping early may cost, on the rows that choose."""
    seed: int = 0
    """Of the choice of these rows."""
    force: bool = False
    """Go on when the code was fitted on another source's rows."""

    def run(self) -> None:
        """Do it."""
        from msae.nested import load_code
        from msae.studies.classify import classify

        code = load_code(self.code)
        if (self.train is None) != (self.train_labels is None):
            raise ConfigError("give --train and --train-labels together, or neither")
        test = self._labelled(code, self.test, self.test_labels)
        train = None
        if self.train is not None and self.train_labels is not None:
            train = self._labelled(code, self.train, self.train_labels)
        found = classify(code, test, train, valid_share=self.valid_share, tolerance=self.tolerance, seed=self.seed)
        found.write(self.out)
        show(found)
        say(f"Tables and a figure are in {self.out}.")

    def _labelled(self, code: NestedCode, path: Path, labels: Path) -> LabelledRows:
        from msae.activations.store import ActivationStore
        from msae.core.spec import require_same_source
        from msae.nested.class_rows import LabelledRows

        store = ActivationStore.open(path)
        if code.source is not None:
            what = f"the code {self.code} and the store {path}"
            require_same_source(code.source, store.spec, what=what, force=self.force)
        return LabelledRows.read(store, labels, self.label_column)
