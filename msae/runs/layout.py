"""The run folder: what lies where. No other file spells a path inside a run (`tests/laws/test_run_paths.py`).

::

    config.json              the SAE's shape, the training settings, the store: enough to repeat the run
    metrics.jsonl            a line of figures every few steps
    wandb.json, wandb/       which Weights & Biases run they go to as well, and what waits to be sent
    resume/                  the state to continue from; only while the run is unfinished
    sae/                     the trained SAE (SAELens' layout); its presence makes the run a finished one
    results/                 tables (Parquet), figures and records of msae eval and msae analyze
        compare/NAME/        one comparison with other runs (msae compare)
    independent/WIDTH/       the independent baselines, each a run of its own (msae train --independent)
    html/                    an export of the dashboard (msae export-html)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TABLE_SUFFIX = ".parquet"
SAE_CONFIG = "cfg.json"
SAE_FILES = {SAE_CONFIG, "sae_weights.safetensors", "probe.safetensors"}
EXPORT_MARK = "export.json"
WANDB = "wandb"
_COMPARE = "compare"

RESULTS: Mapping[str, str] = {
    "levels.json": "what each level is worth, with the definitions of its figures (msae eval)",
    "levels.html": "the same, drawn",
    "analysis.json": "the sample and the headline figures of msae analyze, with their nulls",
    "rate_distortion.html": "the table rate_distortion, drawn",
    "concepts.html": "which level separates which concept, and absorption by level, drawn",
    "compare": "comparisons with other runs, a folder each (msae compare)",
}
"""What lies in ``results/`` besides tables, and what it holds."""


def table_file(folder: Path, name: str) -> Path:
    """The file of the table `name` in a folder of tables."""
    return folder / f"{name}{TABLE_SUFFIX}"


def tables_in(folder: Path) -> dict[str, Path]:
    """The tables in a folder, by name, in order."""
    return {file.stem: file for file in sorted(folder.glob(f"[!.]*{TABLE_SUFFIX}"))}


def compared_table(comparison: str, name: str) -> str:
    """What the table `name` of a comparison is called among a run's tables."""
    return f"{_COMPARE}/{comparison}/{name}"


def is_compared_table(name: str) -> bool:
    """Whether a table of that name belongs to a comparison."""
    return name.startswith(f"{_COMPARE}/")


@dataclass(frozen=True)
class ComparisonFolder:
    """One comparison of a run with others."""

    path: Path

    @property
    def name(self) -> str:
        """What the comparison is called."""
        return self.path.name

    @property
    def about(self) -> Path:
        """Which SAEs were compared, on how many tokens; written last, so its presence makes the comparison whole."""
        return self.path / "comparison.json"

    def table(self, name: str) -> Path:
        """One of its tables."""
        return table_file(self.path, name)


@dataclass(frozen=True)
class RunFolder:
    """The paths of the run in the folder `path`, whether or not anything is there yet."""

    path: Path

    @property
    def config(self) -> Path:
        """The record that makes a folder a run."""
        return self.path / "config.json"

    @property
    def metrics(self) -> Path:
        """The figures logged while training, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def wandb_id(self) -> Path:
        """Which Weights & Biases run the figures go to as well."""
        return self.path / "wandb.json"

    @property
    def resume(self) -> Path:
        """The folder of the state to continue from."""
        return self.path / "resume"

    @property
    def sae(self) -> Path:
        """The folder of the trained SAE."""
        return self.path / "sae"

    @property
    def results(self) -> Path:
        """The folder of tables, figures and records."""
        return self.path / "results"

    @property
    def levels(self) -> Path:
        """What each level is worth."""
        return self.results / "levels.json"

    @property
    def levels_figure(self) -> Path:
        """The same, drawn."""
        return self.results / "levels.html"

    @property
    def analysis(self) -> Path:
        """The sample that was analyzed and the headline figures."""
        return self.results / "analysis.json"

    @property
    def rate_figure(self) -> Path:
        """Rate and distortion, drawn."""
        return self.results / "rate_distortion.html"

    @property
    def concepts_figure(self) -> Path:
        """Labelled concepts by level, drawn."""
        return self.results / "concepts.html"

    def table(self, name: str) -> Path:
        """The result table `name`; `compared_table` names those of comparisons."""
        return table_file(self.results, name)

    def tables(self) -> dict[str, Path]:
        """The result tables that are there, by name, comparisons not included."""
        return tables_in(self.results)

    @property
    def independent(self) -> Path:
        """The folder of the independent baselines."""
        return self.path / "independent"

    def baseline(self, width: int) -> RunFolder:
        """The baseline of that width."""
        return RunFolder(self.independent / str(width))

    def baselines(self) -> dict[int, RunFolder]:
        """The baselines that were begun, finished or not, by width, the smallest first."""
        widths = sorted(int(run.path.name) for run in runs_in(self.independent) if run.path.name.isdecimal())
        return {width: self.baseline(width) for width in widths}

    @property
    def compare(self) -> Path:
        """The folder of comparisons."""
        return self.results / _COMPARE

    def comparison(self, name: str) -> ComparisonFolder:
        """The comparison called `name`."""
        return ComparisonFolder(self.compare / name)

    def comparisons(self) -> list[ComparisonFolder]:
        """The comparisons that are whole, by name."""
        return [ComparisonFolder(about.parent) for about in sorted(self.compare.glob(_ABOUT))]

    @property
    def export(self) -> Path:
        """Where the dashboard is exported to unless another folder is named."""
        return self.path / "html"

    @property
    def is_run(self) -> bool:
        """Whether a run, finished or not, is there."""
        return self.config.is_file()

    @property
    def is_finished(self) -> bool:
        """Whether the trained SAE is there."""
        return (self.sae / SAE_CONFIG).is_file()


_ABOUT = f"*/{ComparisonFolder(Path()).about.name}"
_CONFIG = f"*/{RunFolder(Path()).config.name}"


def runs_in(folder: Path) -> list[RunFolder]:
    """The runs that lie directly in `folder`, by name."""
    return [RunFolder(config.parent) for config in sorted(folder.glob(_CONFIG))]


def holds_sae(folder: Path) -> bool:
    """Whether `folder` is itself a saved SAE."""
    return (folder / SAE_CONFIG).is_file()
