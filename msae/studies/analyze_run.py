"""Analyzing a run: one pass over a store, every measurement across levels, all tables kept in the run's results."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from msae.activations.source import ActivationSource
from msae.activations.store import ActivationStore
from msae.analysis.all_measurements import INDEPENDENT_MEASUREMENTS, LABELLED_MEASUREMENTS, MEASUREMENTS, Result
from msae.analysis.concepts.labelled import Labelled
from msae.analysis.concepts.labels import Labels, joined, label_text, read_labels
from msae.analysis.concepts.probes import probe_activations
from msae.analysis.concepts.supervised import measure_labelled
from msae.analysis.features import CollectSettings, collect
from msae.analysis.levels.nest import measure_texts
from msae.analysis.sample import Collected, TokenText, join_saes
from msae.analysis.sample.encode import encode_all
from msae.analysis.tables import write_tables
from msae.core.checked import checked
from msae.core.config import require, to_dict
from msae.core.errors import EvaluationError, MsaeError, SourceError
from msae.core.files import read_json, write_json
from msae.core.replacing import let_go
from msae.core.spec import SourceSpec
from msae.plots.concepts import concepts_figure
from msae.plots.rate import rate_figure
from msae.plots.theme import write_html
from msae.runs.layout import RunFolder
from msae.runs.writing import results_written_to
from msae.sae import SparseAutoencoder
from msae.studies.independent import independent_runs
from msae.training import Run

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import RenderableType

DEFAULT_TOKENS, CONCEPT_TOKENS = 1_000_000, 100_000
LEAST_FIRINGS, PROBED_ROWS = 200, 4096


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What an analysis found. `tables`: all tables of the pass, by name; `results`: by measurement; `sample`: what it
    was measured on (``rows`` in words); `notes`: what else a reader must know."""

    tables: dict[str, pa.Table]
    results: dict[str, Result]
    sample: dict[str, Any]
    notes: tuple[str, ...] = field(default=())

    def shown(self) -> list[RenderableType]:
        """What every measurement shows of its result, for `rich` to print, and the notes."""
        every: tuple[Any, ...] = (*MEASUREMENTS, *INDEPENDENT_MEASUREMENTS, *LABELLED_MEASUREMENTS)
        rendered = [
            measurement().render(self.results[measurement.name], self.tables)
            for measurement in every
            if measurement.name in self.results
        ]
        return [*chain.from_iterable(rendered), self.sample["rows"], *self.notes]


@checked
def analyze_run(
    run: Run,
    *,
    store: str | Path | None = None,
    holdout: bool = False,
    trained_on: bool = False,
    leave_out_sinks: bool = False,
    tokens: int = DEFAULT_TOKENS,
    model: str | None = None,
    device: str | None = None,
    concepts: str | Path | None = None,
    concept_tokens: int = CONCEPT_TOKENS,
    settings: CollectSettings | None = None,
    progress: bool = True,
    force: bool = False,
) -> Analysis:
    """Run every measurement on the first `tokens` rows; write all tables and ``analysis.json`` to ``run.results``.

    They take the place of an analysis that is there once all are written; with an error it stays as it is.

    The rows are ones that the SAE was not trained on: those of the store's holdout, if latents fire often enough on it
    to be told apart (`LEAST_FIRINGS` times on average; `holdout` takes it however small). Otherwise, or with
    `trained_on`, they are the store's own, which ``sample["rows"]`` says; rate-distortion is of the holdout even then.

    `concepts`: a table of labels (`concepts.labels.given`), in addition to those of the text itself (`label_text`), for
    which the tokenizer is needed. They are probed on the first `concept_tokens` rows (0: not at all).
    `store`: None takes the store the run was trained on. `leave_out_sinks` takes the rows without those above 10 × the
    median norm, as a run that was trained so is measured anyway. `model`: where the model is, if it has moved: its
    tokenizer gives tokens their text, its unembedding the logits. Without it (activations of arrays, or a model that is
    not to be had) both are left out, which a note says.

    Raises `EvaluationError` without a holdout where one is requested, `ConfigError` where `trained_on` is too, and what
    `collect` and opening the store raise.
    """
    require(tokens > 0, "tokens", tokens, "at least one token")
    require(concept_tokens >= 0, "concept_tokens", concept_tokens, "a number of tokens, or 0 for no concepts")
    require(concepts is None or concept_tokens > 0, "concept_tokens", concept_tokens, "tokens to probe the concepts on")
    require(not (holdout and trained_on), "trained_on", trained_on, "the holdout or the rows trained on, not both")
    opened = ActivationStore.open_for(store or run.store_path, run.source)
    if leave_out_sinks:
        opened = opened.ordinary()
    sae = run.load_sae(device=device)
    if holdout:
        rows = _holdout(opened)
    else:
        rows = opened if trained_on or run.adopted else _never_trained_on(sae, opened, tokens, force)
    which = _which_rows(run, opened, rows)
    with rows.held(), results_written_to(run.results) as out:
        # What can be refused is refused before the pass over the store.
        settings = settings or CollectSettings()
        text, unembedding, source, notes = _language(rows.spec, model, device, force)
        baselines, more_notes = _baselines(run, device)
        notes += more_notes
        n_labelled = min(concept_tokens, tokens, rows.n_rows)
        given = [read_labels(concepts, rows, n_labelled, text)] if concepts is not None else []
        collected = collect(
            sae,
            rows,
            n_tokens=tokens,
            settings=settings,
            text=text,
            unembedding=unembedding,
            source=source,
            scratch=run.results,
            progress=progress,
            force=force,
        )
        notes += _of_the_rows(rows, collected)
        results = {measurement.name: measurement().run(collected) for measurement in MEASUREMENTS}
        if baselines:
            results |= _splitting_apart(baselines, collected, run.results, progress, force)
        of_concepts, more_notes = _concepts(collected, given, n_labelled, progress)
        results |= of_concepts
        tree, absorption = results["tree"].tables["tree"], results["absorption"].tables.get("absorption")
        if nest := measure_texts(collected, tree, absorption, progress=progress):
            results["nest"] = nest
        sample = {
            "store": str(rows.path),
            "fingerprint": rows.fingerprint,
            "rows": which,
            "n_tokens": collected.codes.n_rows,
            "l0": collected.codes.l0(),
            "settings": to_dict(settings),
        }
        found = Analysis(tables=collected.tables, results=results, sample=sample, notes=(*notes, *more_notes))
        _write(found, run.folder, out)
    return found


def _write(found: Analysis, folder: RunFolder, out: Path) -> None:
    """Everything to `out`, and word of what the analysis before had and this one has not."""
    write_tables(found.tables, out)
    for result in found.results.values():
        result.write(out)
    rate = found.results["rate_distortion"].tables["rate_distortion"].to_pylist()
    write_html(rate_figure({"": rate}), out / folder.rate_figure.name)
    if "probes" in found.results:
        figure = concepts_figure(found.results["probes"].tables, found.results["concept_absorption"].tables)
        write_html(figure, out / folder.concepts_figure.name)
    files = sorted(file.name for file in out.iterdir())
    content = {
        "sample": found.sample,
        **{name: dict(result.summary) for name, result in found.results.items()},
        "notes": list(found.notes),
        "files": files,
    }
    write_json(out / folder.analysis.name, content)
    let_go(out, _files_before(folder) - {*files, folder.analysis.name})


def _files_before(folder: RunFolder) -> set[str]:
    """The files of the analysis that is there, as it says itself."""
    try:
        files = read_json(folder.analysis, EvaluationError).get("files", [])
    except EvaluationError:
        return set()
    ours = {file.name for file in (*folder.tables().values(), folder.rate_figure, folder.concepts_figure)}
    return ours & {name for name in files if isinstance(name, str)}


def _of_the_rows(rows: ActivationStore, collected: Collected) -> list[str]:
    """What a reader must know of the rows: contexts that are not known, and sinks."""
    notes = []
    if collected.origin.opens_context is None and rows.spec.context_size > 1:
        notes.append(
            f"{rows.path} was made before positions in contexts were kept: what is shown before a token may be text "
            "that the model had not read. Harvest it again."
        )
    norms = rows.norm_summary
    if norms.sinks_rule:
        notes.append(
            f"Norms of the rows: {norms.line(rows.n_rows)}. Strong activations and similarities are theirs above all; "
            "analyze without them: --leave-out-sinks."
        )
    return notes


def _baselines(run: Run, device: str | None) -> tuple[list[SparseAutoencoder], list[str]]:
    """The run's independent baselines, if there are any and all are finished, and notes otherwise."""
    baselines = independent_runs(run)
    if not baselines:
        return [], []
    widths = run.prefix_widths
    if tuple(baselines) != widths or not all(baseline.is_finished for baseline in baselines.values()):
        there = ", ".join(str(width) for width, baseline in baselines.items() if baseline.is_finished) or "none"
        return [], [
            f"Of the baselines of widths {', '.join(map(str, widths))}, {there} finished: msae train --independent "
            f"{run.path} trains the others, and splitting between them is then measured too."
        ]
    return [baseline.load_sae(device=device) for baseline in baselines.values()], []


def _splitting_apart(
    baselines: list[SparseAutoencoder], collected: Collected, scratch: Path, progress: bool, force: bool
) -> dict[str, Result]:
    """Splitting between the baselines on the same rows."""
    joined = join_saes(
        baselines,
        collected.rows,
        n_tokens=collected.codes.n_rows,
        pair_settings=collected.pair_settings,
        seed=collected.seed,
        scratch=scratch,
        progress=progress,
        force=force,
    )
    return {measurement.name: measurement().run(joined) for measurement in INDEPENDENT_MEASUREMENTS}


def _concepts(
    collected: Collected, given: list[Labels], n_rows: int, progress: bool
) -> tuple[dict[str, Result], list[str]]:
    """Probes and supervised absorption of the concepts there are, if there are any, and notes."""
    if n_rows == 0:
        return {}, []
    parts = list(given)
    if collected.text is not None:
        parts.append(label_text(collected.rows, n_rows, collected.text))
    if not parts:
        return {}, []
    labels = joined(parts)
    try:
        probes = probe_activations(collected.rows, labels, progress=progress)
    except EvaluationError as error:
        return {}, [f"Concepts were not probed: {error}."]
    if not probes.usable:
        return {}, [f"None of {len(labels)} concepts could be probed on {n_rows:,} tokens: too rare or too weak."]
    return measure_labelled(Labelled.of(collected, probes, progress=progress))[1], []


def _holdout(store: ActivationStore) -> ActivationStore:
    if store.holdout is None:
        raise EvaluationError(f"the store {store.path} kept no holdout: analyze the store itself, or harvest with one")
    return store.holdout


def _never_trained_on(sae: SparseAutoencoder, store: ActivationStore, tokens: int, force: bool) -> ActivationStore:
    """The holdout, if latents fire often enough on it; else the store."""
    if store.holdout is None:
        return store
    head = min(PROBED_ROWS, store.holdout.n_rows)
    codes = encode_all(sae, store.holdout, head, force=force)
    firings = codes.l0() * min(tokens, store.holdout.n_rows) / sae.d_sae
    return store.holdout if firings >= LEAST_FIRINGS else store


def _which_rows(run: Run, store: ActivationStore, rows: ActivationStore) -> str:
    """Whether the SAE was trained on the rows, for the reader."""
    kept, trained = (text.partition(" ")[0] for text in (store.fingerprint, run.store_fingerprint))
    of_run = kept == trained  # what stands behind them says which rows are left out
    if run.adopted:
        return f"Measured on {rows.path}; which text the SAE was trained on is not known."
    if rows.manifest.context_rows:
        which = f"{rows.n_rows:,} rows in the holdout of {store.path}"
        known = "which the SAE was not trained on" if of_run else "which is not the store that the SAE was trained on"
        return f"Measured on {which}, {known}."
    if not of_run:
        return f"Measured on {store.path}, which is not the store that the SAE was trained on."
    why = "it has no holdout" if store.holdout is None else f"its holdout has {store.holdout.n_rows:,} rows"
    return (
        f"Measured on rows of {store.path} that the SAE was trained on ({why}): densities and what fires together may "
        "differ a little on others. Rate-distortion is of the holdout where there is one. Another store (--store), or "
        "a larger holdout at the harvest, gives rows never trained on."
    )


def _language(
    spec: SourceSpec, model: str | None, device: str | None, force: bool
) -> tuple[TokenText | None, Float[Tensor, "d_in vocab"] | None, ActivationSource | None, list[str]]:
    """The text of tokens, the way from the hook to logits and the model, where there is one, and what to say where
    there is not."""
    if spec.kind != "transformer_lens":
        return None, None, None, [f"Activations of kind {spec.kind!r}: tokens have no text, and there are no logits."]
    from msae.activations.reopen import reopen

    try:
        source = reopen(spec, model=model, device=device, force=force)
    except MsaeError as error:
        if model is not None:
            raise
        note = "The model could not be opened, so tokens have no text, and there are neither logits nor cross-entropies"
        return None, None, None, [f"{note}: {error}"]
    if not source.has_tokenizer:
        return None, None, source, ["The model has no tokenizer: tokens have no text, and no logits are shown."]
    text = TokenText(source.tokenizer)
    try:
        return text, source.direct_unembedding(spec.hook_name), source, []
    except SourceError as error:
        return text, None, source, [f"There are no logits: {error}."]
