"""Evaluating a run with its own model, on text or on its store's holdout; tables and plots are kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from msae.activations.store import ActivationStore
from msae.analysis.levels.evaluate import DEFAULT_TOKENS, evaluate_levels, evaluate_rows
from msae.analysis.levels.level_table import LevelTable
from msae.core.config import require
from msae.core.errors import EvaluationError
from msae.core.spec import SourceSpec
from msae.data.documents import Document
from msae.plots.levels import levels_figure
from msae.plots.theme import write_html
from msae.runs.writing import results_written_to
from msae.sae import SparseAutoencoder
from msae.training import Run


def evaluate_run(
    run: Run,
    documents: Iterable[Document] | None = None,
    *,
    n_tokens: int = DEFAULT_TOKENS,
    model: str | None = None,
    store: str | Path | None = None,
    device: str | None = None,
    progress: bool = True,
    force: bool = False,
) -> LevelTable:
    """Measure every level of a run and write ``results/levels.json`` and ``results/levels.html``.

    `documents`: text to measure on; None takes the holdout of the store the run was trained on (or of `store`).
    `model`: where the model is, if it has moved. A run on activations that came from no language model is measured on
    the holdout's rows, without CE. Of an unfinished run the state last kept is measured, and nothing is written, so
    that this can be done while it is trained.

    Raises `EvaluationError` when there is neither text nor a holdout, and whatever opening the model raises.
    """
    require(n_tokens > 0, "n_tokens", n_tokens, "at least one token")
    data = documents if documents is not None else _holdout(store or run.store_path, run.source)
    if not run.is_finished:
        own = ActivationStore.open_for(store or run.store_path, run.source)
        return _measured(run, data, n_tokens, model, device, progress, force, sae=run.sae_so_far(own))
    with contextlib.ExitStack() as held:
        if isinstance(data, ActivationStore):
            held.enter_context(data.held())
        out = held.enter_context(results_written_to(run.results, doing="evaluating or analyzing"))
        table = _measured(run, data, n_tokens, model, device, progress, force)
        table.write(out / run.folder.levels.name)
        write_html(levels_figure(table), out / run.folder.levels_figure.name)
    return table


def _measured(
    run: Run,
    data: Iterable[Document] | ActivationStore,
    n_tokens: int,
    model: str | None,
    device: str | None,
    progress: bool,
    force: bool,
    sae: SparseAutoencoder | None = None,
) -> LevelTable:
    spec = run.source
    if spec.kind == "transformer_lens":
        from msae.activations.reopen import reopen

        source = reopen(spec, model=model, device=device, force=force)
        sae = run.load_sae(device=str(source.device)) if sae is None else sae.to(source.device)
        return evaluate_levels(sae, source, data, n_tokens=n_tokens, progress=progress, force=force)
    if isinstance(data, ActivationStore):
        assert data.holdout is not None
        return evaluate_rows(sae or run.load_sae(), data.holdout, n_tokens=n_tokens, progress=progress, force=force)
    raise EvaluationError(f"{run.path} was trained on {spec.kind} activations: text cannot be put through them")


def _holdout(path: str | Path, spec: SourceSpec) -> ActivationStore:
    store = ActivationStore.open_for(path, spec)
    if store.holdout is None:
        raise EvaluationError(
            f"the store {path} kept no holdout: give text to evaluate on (--text), or harvest with holdout tokens"
        )
    return store
