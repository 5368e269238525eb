"""What each level of an SAE is worth: `evaluate_levels` with a model to run on, `evaluate_rows` with activations alone.

Contexts are run once as far as the hook, for the quantiser's step; then once untouched, once with zeros and once for
every level with its reconstruction spliced in, and once more with the sample's mean. Logits are held for one batch at a
time. Every figure is defined in `level_table`; its interval is what other documents would give (`document_sums`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from msae.activations.source import ActivationSource, ContextBatch, PatchableSource, rows_kept
from msae.activations.store import ActivationStore
from msae.analysis.levels.document_sums import Interval, intervals
from msae.analysis.levels.level_meter import LevelMeter
from msae.analysis.levels.level_table import LevelRow, LevelTable, Sample
from msae.analysis.levels.loss_meter import LossMeter
from msae.analysis.sample.pairing import evaluating, shared_hook
from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import EvaluationError, MismatchError
from msae.core.numerics import RowArray, as_rows
from msae.core.progress import bar
from msae.core.sinks import norms_of, sink_norm_of
from msae.core.spec import require_same_source
from msae.data.documents import Document
from msae.sae.autoencoder import SparseAutoencoder

DEFAULT_TOKENS = 1 << 15
MAX_LOGITS = 1 << 26
ROWS_A_BATCH = 4096

HELD_OUT = "a store's holdout: contexts that SAEs trained on the store have not read"
IN_STORE = "a store's own rows: SAEs trained on the store have read them, which flatters their figures"
GIVEN = "rows or text given for it"


@checked
def evaluate_levels(
    sae: SparseAutoencoder,
    source: ActivationSource,
    data: ActivationStore | Iterable[ContextBatch] | Iterable[Document] = (),
    *,
    n_tokens: int = DEFAULT_TOKENS,
    hook_name: str | None = None,
    quantiser_step: float | None = None,
    quantised_ce: bool = False,
    max_logits: int = MAX_LOGITS,
    progress: bool = True,
    force: bool = False,
) -> LevelTable:
    """Measure every level of `sae` on the first `n_tokens` of `data`, rounded up to whole contexts.

    `data`: a store (its holdout is read), batches of contexts, or documents (none, for an array). `hook_name` is needed
    only when the source has several hooks and the SAE does not say which is its own. CE and KL are None for a source
    without a language head.
    `quantiser_step`: None takes an eighth of the root mean square of the codes. `quantised_ce` measures CE on the
    rounded codes too, one more pass a level. `max_logits`: the most numbers the logits of one batch may have (two to
    three such arrays are held).

    Raises `MismatchError` when the SAE was trained on another source (with `force`, warns), `EvaluationError` when
    there is no token, or the rows do not vary or are not finite.
    """
    require(n_tokens > 0, "n_tokens", n_tokens, "at least one token")
    require(max_logits > 0, "max_logits", max_logits, "a positive count of numbers")
    hook = shared_hook(sae, source, hook_name, force=force)
    spec = source.specs[hook]
    if isinstance(data, ActivationStore):
        require_same_source(data.spec, spec, what=f"the store at {data.path} and the source", force=force)
    contexts = list(first_contexts(n_tokens, _contexts(source, data)))
    if not contexts:
        raise EvaluationError("there is not one token to evaluate on: the data given has no contexts and no text")
    meter = LevelMeter(sae, quantiser_step, _sink_norm(data))
    losses = None
    if isinstance(source, PatchableSource) and source.has_language_head:
        losses = LossMeter(source, hook, meter, quantised=quantised_ce, max_logits=max_logits)

    passes = 1 + (losses.passes if losses else 1)
    with evaluating(sae), bar("evaluate", len(contexts) * passes, shown=progress) as advance:
        for batch in contexts:
            if quantiser_step is None:
                meter.size_up(rows_kept(batch, source.activations(batch)[hook]))
            advance(1)
        for batch in contexts:
            if losses:
                losses.update(batch)
                advance(losses.passes - 1)
            else:
                meter.update(rows_kept(batch, source.activations(batch)[hook]), batch.document[batch.keep])
                advance(1)
        if losses:
            for batch in contexts:
                losses.ablate_mean(batch)
                advance(1)

    notes = [] if sae.source else ["The SAE does not say what it was trained on, so the source could not be checked."]
    if losses is None:
        notes.append("The source has no language head: CE and KL do not apply.")
    return _table(
        meter,
        losses,
        n_requested=n_tokens,
        notes=notes,
        n_contexts=sum(map(len, contexts)),
        model=spec.model,
        hook=hook,
        rows_of=HELD_OUT if isinstance(data, ActivationStore) else GIVEN,
    )


@checked
def evaluate_rows(
    sae: SparseAutoencoder,
    rows: ActivationStore | RowArray,
    *,
    n_tokens: int | None = None,
    quantiser_step: float | None = None,
    progress: bool = True,
    force: bool = False,
) -> LevelTable:
    """Measure every level of `sae` on activations at hand, the first `n_tokens` rows (None: all); no CE, no KL.

    `rows`: an array (torch or numpy, of any dtype), whose rows count as documents of their own, or a store, which is
    read as it stands: hand in ``store.holdout`` for rows never trained on.
    Raises `MismatchError` for rows of another width or a store from another source (with `force`, warns),
    `EvaluationError` when there is no row, or the rows do not vary or are not finite.
    """
    require(n_tokens is None or n_tokens > 0, "n_tokens", n_tokens, "at least one row, or None for all")
    stored = rows.spec if isinstance(rows, ActivationStore) else None
    if not isinstance(rows, ActivationStore):
        rows = as_rows(rows, what="the array of rows")
    width = rows.d_in if isinstance(rows, ActivationStore) else rows.shape[1]
    if width != sae.d_in:
        raise MismatchError(f"the SAE reads d_in = {sae.d_in} numbers, the rows have {width}")
    if sae.source is not None and stored is not None:
        require_same_source(sae.source, stored, what="the SAE and the store", force=force)
    n_rows = min(len(rows), n_tokens or len(rows))
    meter = LevelMeter(sae, quantiser_step, _sink_norm(rows))
    blocks = [(start, min(start + ROWS_A_BATCH, n_rows)) for start in range(0, n_rows, ROWS_A_BATCH)]
    with evaluating(sae), bar("evaluate", 2 * n_rows, shown=progress) as advance:
        for start, stop in blocks:
            if quantiser_step is None:
                meter.size_up(_read(rows, start, stop))
            advance(stop - start)
        for start, stop in blocks:
            document = rows.tokens(start, stop).document if isinstance(rows, ActivationStore) else None
            meter.update(_read(rows, start, stop), document)
            advance(stop - start)
    return _table(
        meter,
        None,
        n_requested=n_tokens or n_rows,
        notes=["Activations alone, no model: CE and KL do not apply."],
        model=stored.model if stored else "",
        hook=stored.hook_name if stored else "",
        rows_of=_rows_of(rows),
    )


def _sink_norm(data: object) -> float | None:
    """The norm above which a row is a sink, where all rows are at hand; None: the first batch decides."""
    if isinstance(data, ActivationStore):
        return data.norm_summary.sink_norm
    if not isinstance(data, Tensor):
        return None
    return sink_norm_of(torch.cat([norms_of(block) for block in data.split(ROWS_A_BATCH)])) if len(data) else None


def _rows_of(rows: ActivationStore | Tensor) -> str:
    if not isinstance(rows, ActivationStore):
        return GIVEN
    return HELD_OUT if rows.manifest.context_rows else IN_STORE


def _read(rows: ActivationStore | Float[Tensor, "rows d_in"], start: int, stop: int) -> Float[Tensor, "block d_in"]:
    return rows.rows(start, stop) if isinstance(rows, ActivationStore) else rows[start:stop]


def _contexts(
    source: ActivationSource, data: ActivationStore | Iterable[ContextBatch] | Iterable[Document]
) -> Iterator[ContextBatch]:
    if isinstance(data, ActivationStore):
        held_out = data if data.manifest.context_rows else data.holdout
        if held_out is None:
            raise EvaluationError(
                f"{data.path} has no holdout, so no contexts to run the model on: give documents, harvest again with "
                "holdout_tokens, or measure what needs no model with evaluate_rows(sae, store)"
            )
        return held_out.contexts()
    items: Iterator[Any] = iter(data)
    first = list(itertools.islice(items, 1))
    everything = itertools.chain(first, items)
    if first and isinstance(first[0], ContextBatch):
        return everything
    return iter(source.contexts(everything))


def first_contexts(n_tokens: int, batches: Iterable[ContextBatch]) -> Iterator[ContextBatch]:
    """Whole contexts, until they hold `n_tokens` kept positions; those that hold none are left out."""
    taken = 0
    for batch in batches:
        kept = batch.keep.sum(dim=1)
        before = taken + kept.cumsum(0) - kept
        wanted = ((kept > 0) & (before < n_tokens)).nonzero()[:, 0]
        if wanted.numel():
            yield batch.select(wanted)
        taken += int(kept.sum())
        if taken >= n_tokens:
            return


def _table(
    meter: LevelMeter,
    losses: LossMeter | None,
    *,
    n_requested: int,
    notes: list[str],
    model: str,
    hook: str,
    rows_of: str,
    n_contexts: int = 0,
) -> LevelTable:
    figures = meter.figures()
    on_model, more_notes = losses.figures() if losses else ([{} for _ in figures], [])
    notes = [*notes, *more_notes]
    if meter.n_rows < n_requested:
        notes.append(f"{n_requested:,} tokens were requested; there were {meter.n_rows:,}.")
    rows = []
    for level, rate, loss in zip(figures, meter.rate(), on_model, strict=True):
        values: dict[str, Any] = {n: _finite_or_none(value) for n, value in {**vars(level), **rate, **loss}.items()}
        missing = [name for name, value in loss.items() if value is not None and values[name] is None]
        rows.append(LevelRow(**values))
        if missing:
            notes.append(f"Level {level.level}: {', '.join(missing)} came out NaN or infinite and are not given.")
    return LevelTable(
        levels=tuple(rows),
        intervals=_intervals(meter, losses, rows),
        sample=Sample(
            n_tokens=meter.n_rows,
            n_contexts=n_contexts,
            n_predictions=losses.n_predictions if losses else 0,
            model=model,
            hook_name=hook,
            quantiser_step=meter.quantiser_step,
            n_sinks=meter.n_sinks,
            sink_norm=_finite_or_none(meter.sink_norm),
            rows=rows_of,
            intervals=meter.documents.sentence(),
            notes=tuple(notes),
        ),
    )


def _intervals(meter: LevelMeter, losses: LossMeter | None, rows: list[LevelRow]) -> tuple[dict[str, Interval], ...]:
    """Of every figure that is given."""
    if not meter.documents.enough:
        return ()
    on_model = losses.resampled() if losses else [{} for _ in rows]
    return tuple(
        {name: own for name, own in intervals(plain | more).items() if getattr(row, name) is not None}
        for row, plain, more in zip(rows, meter.resampled(), on_model, strict=True)
    )


def _finite_or_none(value: int | float | None) -> int | float | None:
    return value if value is None or math.isfinite(value) else None


__all__ = ["evaluate_levels", "evaluate_rows"]
