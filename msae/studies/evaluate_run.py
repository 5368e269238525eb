"""Evaluating a run with its own model, on text or on its store's holdout; tables and plots are kept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from msae.activations.store import ActivationStore
from msae.analysis.levels.evaluate import DEFAULT_TOKENS, evaluate_levels, evaluate_rows
from msae.analysis.levels.level_table import LevelTable
from msae.core.errors import EvaluationError
from msae.core.spec import SourceSpec
from msae.data.documents import Document
from msae.plots.levels import levels_figure
from msae.plots.theme import write_html
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
    the holdout's rows, without CE.

    Raises `EvaluationError` when there is neither text nor a holdout, and whatever opening the model raises.
    """
    spec = run.source
    data = documents if documents is not None else _holdout(store or run.store_path, spec)
    if spec.kind == "transformer_lens":
        from msae.activations.reopen import reopen

        source = reopen(spec, model=model, device=device, force=force)
        sae = run.load_sae(device=str(source.device))
        table = evaluate_levels(sae, source, data, n_tokens=n_tokens, progress=progress, force=force)
    elif isinstance(data, ActivationStore):
        assert data.holdout is not None
        table = evaluate_rows(run.load_sae(), data.holdout, n_tokens=n_tokens, progress=progress, force=force)
    else:
        raise EvaluationError(f"{run.path} was trained on {spec.kind} activations: text cannot be put through them")
    table.write(run.folder.levels)
    write_html(levels_figure(table), run.folder.levels_figure)
    return table


def _holdout(path: str | Path, spec: SourceSpec) -> ActivationStore:
    store = ActivationStore.open_for(path, spec)
    if store.holdout is None:
        raise EvaluationError(
            f"the store {path} kept no holdout: give text to evaluate on (--text), or harvest with holdout tokens"
        )
    return store
