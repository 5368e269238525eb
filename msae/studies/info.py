"""What a folder is: a store, a saved SAE, a run, a nested code, or an index, in a few lines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from msae.activations.manifest import holds_store
from msae.activations.store import ActivationStore
from msae.activations.store_folder import left_behind as left_behind_in_store
from msae.activations.store_folder import stores_in
from msae.analysis.levels.level_table import LevelTable
from msae.analysis.tables import table_footer
from msae.core.errors import EvaluationError, MismatchError, MsaeError
from msae.core.spec import SourceSpec
from msae.nested import NestedCode, load_code
from msae.nested.code_files import is_code
from msae.nested.index import Index, is_index
from msae.runs.layout import RESULTS, TABLE_SUFFIX, RunFolder, holds_sae
from msae.runs.writing import left_behind
from msae.sae import load
from msae.sae.checkpoint import written_by
from msae.studies.independent import independent_runs
from msae.training import Run


class UnknownFolderError(MsaeError):
    """The folder is none of ours."""


def describe(path: Path) -> str:
    """A few lines on what lies at `path`: a store, an SAE, a run, a nested code or an index; raises where none does, or
    it is damaged."""
    if holds_store(path):
        return _store(ActivationStore.open(path))
    if RunFolder(path).is_run:
        return _run(Run.open(path))
    if holds_sae(path):
        return _sae(path)
    if is_index(path):
        return _index(Index.open(path))
    if is_code(path):
        return _code(load_code(path))
    if stores := stores_in(path):
        return "\n\n".join(_store(ActivationStore.open(store)) for store in stores)
    if not path.is_dir():
        raise UnknownFolderError(f"there is no folder {path} (looked from {Path.cwd()})")
    held = ", ".join(sorted(child.name for child in path.iterdir())[:8]) or "nothing"
    raise UnknownFolderError(
        f"{path} is no store (manifest.json), run (config.json), SAE (cfg.json), nested code (code.json) or index "
        f"(index.json); it holds {held}"
    )


def verify(path: Path) -> str:
    """A line that says that every file of the store at `path`, or of the run's store, is as it was written.

    Raises `StoreError` naming those that are not, `MismatchError` for a store that is not the one the run names.
    """
    stores = [path] if holds_store(path) else stores_in(path)
    run = Run.open(path) if RunFolder(path).is_run else None
    if run is not None:
        stores = [run.store_path]
        if (fingerprint := ActivationStore.open_for(run.store_path, run.source).fingerprint) != run.store_fingerprint:
            raise MismatchError(
                f"the store at {run.store_path} has the fingerprint {fingerprint}, {path} was trained on one of "
                f"{run.store_fingerprint}: it was replaced since"
            )
    for store in stores:
        ActivationStore.open(store).verify()
    what = ", ".join(str(store) for store in stores)
    return f"verified: every file of {what} is as it was written" if stores else f"{path} has no store to verify"


def _store(store: ActivationStore) -> str:
    holdout = store.holdout
    left = left_behind_in_store(store.path)
    size = sum(file.stat().st_size for file in store.path.rglob("*") if file.is_file())
    return _lines(
        f"activation store {store.path}",
        {
            "rows": f"{store.n_rows:,} of {store.d_in} ({store.dtype}), {size / 1e6:,.1f} MB with the holdout",
            "holdout": f"{holdout.n_rows:,} rows" if holdout else "none",
            "documents": f"{len(store.document_names()):,}",
            "norms": store.norm_summary.line(store.n_rows),
            "written by": _version(store.manifest.msae_version),
            "scale": f"{store.scale:.4g} (brings E||x||^2 to {store.d_in})",
            **_source(store.spec),
            **_left(left, store.path),
        },
    )


def _sae(path: Path) -> str:
    sae = load(path)
    lines = {"shape": f"d_in {sae.d_in}, d_sae {sae.d_sae:,}", "activation": str(sae.activation_fn)}
    lines["written by"] = written_by(path)
    lines["nesting"] = str(sae.nesting)
    for level, width in enumerate(sae.prefix_widths):
        record = sae.recorded[level] if sae.recorded else None
        lines[f"level {level}"] = f"width {width:,}" + (
            f", L0 {record.l0:.2f}, FVU {record.fvu:.4f}{_ordinary(record.fvu_ordinary)}" if record else ""
        )
    return _lines("sparse autoencoder", {**lines, **(_source(sae.source) if sae.source else {})})


def _code(code: NestedCode) -> str:
    return _lines(f"nested code {type(code).__name__}", _levels(code) | (_source(code.source) if code.source else {}))


def _index(index: Index) -> str:
    lines = {"items": f"{len(index):,}, {index.bytes / len(index):,.0f} bytes each", "levels": str(index.levels)}
    lines |= {"code": type(index.code).__name__, **_levels(index.code)}
    return _lines(f"index {index.path}", {**lines, **(_source(index.spec) if index.spec else {})})


def _levels(code: NestedCode) -> dict[str, str]:
    return {
        f"level {level}": f"{width:,} numbers, {code.bytes_per_item(level):,.1f} bytes an item"
        for level, width in enumerate(code.widths)
    }


def _run(run: Run) -> str:
    metrics = run.metrics()
    done = metrics[-1].get("tokens", 0) if metrics else 0
    results = sorted(run.results.glob("[!.]*"))
    lines = {
        "begun by": _version(run.version),
        "state": "finished" if run.is_finished else "unfinished: the same training command with --resume continues it",
        "tokens": f"{done:,} of {run.train_config.n_tokens:,}" if not run.adopted else "not trained here",
        "store": str(run.store_path) + ("" if run.store_path.exists() else f" (not there, seen from {Path.cwd()})"),
        "results": f"{len(results)} files, below" if results else f"none yet: msae eval and msae analyze {run.path}",
    }
    if run.adopted:
        lines["adopted"] = f"{run.adopted['path']} ({run.adopted['format']}), prefix widths named by the " + str(
            run.adopted["widths_named_by"]
        )
    if baselines := independent_runs(run):
        lines["independent"] = ", ".join(_baseline(width, baseline) for width, baseline in baselines.items())
    if run.folder.levels.is_file():
        measured = LevelTable.read(run.folder.levels)
        for row in measured.levels:
            recovered = "n/a" if row.ce_recovered is None else f"{row.ce_recovered:.4f}"
            ordinary = _ordinary(row.fvu_ordinary if measured.sample.n_sinks else None)
            lost = "n/a" if row.ce_lost is None else f"{row.ce_lost:.3f} nats"
            lines[f"measured {row.level}"] = (
                f"width {row.width:,}, FVU {row.fvu:.4f}{ordinary}, CE recovered {recovered} (zeros), CE lost {lost}"
            )
    lines |= _left(left_behind(run.folder), run.path)
    parts = [_lines(f"run {run.path}", lines)]
    if results:
        parts.append(_lines(f"results in {run.results}", {file.name: _result(file) for file in results}))
    if run.is_finished:
        parts.append(_sae(run.folder.sae))
    return "\n\n".join(parts)


def _left(paths: Sequence[Path], folder: Path) -> dict[str, str]:
    """What killed processes left, and that it is cleared by whoever writes there next."""
    if not paths:
        return {}
    named = ", ".join(os.path.relpath(path, folder) for path in paths[:4])
    more = f" and {len(paths) - 4} more" if len(paths) > 4 else ""
    return {"left by a kill": f"{named}{more}: the next command that writes there clears it away"}


def _ordinary(fvu: float | None) -> str:
    """The same on ordinary rows, where it is another figure."""
    return "" if fvu is None else f" ({fvu:.4f} on ordinary rows, without sinks)"


def _version(version: str | None) -> str:
    return f"msae {version or '0.1.0 or before'}"


def _baseline(width: int, run: Run) -> str:
    return f"width {width:,} ({'finished' if run.is_finished else 'unfinished'})"


def _result(path: Path) -> str:
    """What a file of results holds: of a table, how many rows, and what one is."""
    if path.suffix != TABLE_SUFFIX:
        return RESULTS.get(path.name, "")
    try:
        n_rows, row = table_footer(path)
    except EvaluationError:
        return "damaged: analyze the run again (msae analyze)"
    return f"{n_rows:>9,} rows" + (f", each {row}" if row else "")


def _source(spec: SourceSpec) -> dict[str, str]:
    return {
        "model": f"{spec.model} ({spec.kind}, {spec.weight_processing} weights, {spec.dtype})",
        "hook": spec.hook_name,
        "contexts": f"{spec.context_size} tokens, {'BOS first' if spec.prepend_bos else 'no BOS'}; special rows "
        f"{spec.special_rows}",
    }


def _lines(title: str, values: dict[str, str]) -> str:
    width = max(len(key) for key in values)
    return "\n".join([title, *(f"  {key:<{width}}  {value}" for key, value in values.items())])
