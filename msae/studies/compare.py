"""`compare_levels` and `compare_runs`: the levels of an SAE, or several SAEs, measured on the same tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from msae.activations.source import ActivationSource
from msae.activations.store import ActivationStore
from msae.analysis.hierarchy.matching import MIN_TOKENS, Groups, match_latents, overlap
from msae.analysis.levels.evaluate import evaluate_levels, evaluate_rows
from msae.analysis.levels.level_table import LevelTable
from msae.analysis.levels.rate import decoder_norms, default_step
from msae.analysis.levels.rate_distortion import RateDistortion, rate_and_fvu, sum_of_squares
from msae.analysis.sample.code_table import CodeTable
from msae.analysis.sample.collected import unit_directions
from msae.analysis.sample.encode import encode_all
from msae.analysis.sample.joined import joined
from msae.analysis.sample.origin import Origin
from msae.analysis.sample.shift import shifted
from msae.analysis.sample.token_text import TokenText
from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import CheckpointError, ConfigError, MismatchError, MsaeError
from msae.core.spec import require_same_source
from msae.runs.layout import RunFolder, holds_sae, runs_in
from msae.sae import SparseAutoencoder, load
from msae.studies.comparison import Comparison, latent_table, levels_frame, overlap_frame, rate_frame
from msae.training import Run

Comparable = Run | SparseAutoencoder | str | Path


@dataclass(frozen=True, kw_only=True)
class Series:
    """What is shown under one name: the levels of one nested SAE, or several SAEs, the narrowest first, as levels.

    `store`, `fingerprint`: where the store lay that they were trained on, and its fingerprint, where a run says so.
    """

    name: str
    saes: tuple[SparseAutoencoder, ...]
    store: Path | None = None
    fingerprint: str | None = None

    @property
    def members(self) -> list[tuple[str, SparseAutoencoder]]:
        """The SAEs with names of their own."""
        if len(self.saes) == 1:
            return [(self.name, self.saes[0])]
        return [(f"{self.name}/{sae.d_sae}", sae) for sae in self.saes]


@checked
def compare_levels(
    sae: Comparable,
    store: ActivationStore | str | Path | None = None,
    *,
    source: ActivationSource | None = None,
    ce: bool = True,
    n_tokens: int = 65_536,
    eval_tokens: int = 8_192,
    progress: bool = False,
    force: bool = False,
) -> Comparison:
    """The levels of one SAE: what each is worth, and which latents of one band are which of another.

    `store`: None takes the one a run was trained on. Latents are matched on its first `n_tokens` rows; figures are
    measured on `eval_tokens` of its holdout (without one, of the store). CE needs the model: `source`, or where the
    store says it was; `ce=False` leaves it alone. Bits are of values written with one step, for all that is compared.

    Raises `ConfigError` for an SAE of one level or without a store, `MismatchError` when SAE and store do not belong
    together (with `force`, warns).
    """
    (series,) = _series([sae])
    (own,) = series.saes
    if own.n_levels == 1:
        raise ConfigError(f"{series.name} has one level, of width {own.d_sae}: compare it with others (compare_runs)")
    rows = _store(store, [series])
    _require_match([series], rows, force)
    level = own.level_of.cpu().numpy()
    groups = Groups(
        group=level, sae=np.zeros_like(level), level=level, latent=np.arange(own.d_sae), names=(series.name,)
    )
    names = [f"level {g}" for g in range(own.n_levels)]
    with rows.held():
        return _compared([series], rows, groups, names, source, ce, n_tokens, eval_tokens, progress, force)


@checked
def compare_runs(
    runs: Sequence[Comparable | Sequence[Comparable]] | Mapping[str, Comparable | Sequence[Comparable]],
    store: ActivationStore | str | Path | None = None,
    *,
    source: ActivationSource | None = None,
    ce: bool = True,
    n_tokens: int = 65_536,
    eval_tokens: int = 8_192,
    progress: bool = False,
    force: bool = False,
) -> Comparison:
    """Several SAEs that read the same activations: figures side by side, and which latents of one are which of another.

    `runs`: runs, saved SAEs or their folders, or SAEs in memory; with a mapping, under names of your own. A sequence of
    them, or a folder of runs such as ``RUN/independent``, counts as one series: its SAEs, each of one level, stand
    next to the levels of a nested one. The other settings are those of `compare_levels`.

    Raises `ConfigError` for fewer than two SAEs, two of one name or none with a store, `MismatchError` when they do not
    read the same activations (with `force`, warns).
    """
    series = _series(runs)
    rows = _store(store, series)
    _require_match(series, rows, force)
    members = [member for one in series for member in one.members]
    if len(members) < 2:
        raise ConfigError(f"one SAE was given ({members[0][0]}): compare its levels (compare_levels), or give more")
    sizes = [sae.d_sae for _, sae in members]
    of_sae = np.repeat(np.arange(len(members)), sizes)
    groups = Groups(
        group=of_sae,
        sae=of_sae,
        level=np.concatenate([_level_shown(one, place) for one in series for place in range(len(one.saes))]),
        latent=np.concatenate([np.arange(size) for size in sizes]),
        names=tuple(name for name, _ in members),
    )
    names = list(groups.names)
    with rows.held():
        return _compared(series, rows, groups, names, source, ce, n_tokens, eval_tokens, progress, force)


def _compared(
    series: Sequence[Series],
    store: ActivationStore,
    groups: Groups,
    names: list[str],
    source: ActivationSource | None,
    ce: bool,
    n_tokens: int,
    eval_tokens: int,
    progress: bool,
    force: bool,
) -> Comparison:
    for name, count in (("n_tokens", n_tokens), ("eval_tokens", eval_tokens)):
        require(count > 0, name, count, "at least one token")
    n_rows = min(n_tokens, store.n_rows)
    notes: list[str] = []
    if source is None and ce:
        source, notes = _model(store)
    saes = [sae for one in series for sae in one.saes]
    levels_on = store.holdout or store
    n_levels_on = min(RateDistortion().tokens, levels_on.n_rows)
    held_out = [encode_all(sae, levels_on, n_levels_on, progress=progress, force=force) for sae in saes]
    rms = _common_rms(saes, held_out)
    evaluated = [_evaluated(sae, store, source, eval_tokens, default_step(rms), progress, force) for sae in saes]
    tables = [encode_all(sae, store, n_rows, progress=progress, force=force) for sae in saes]
    codes = joined(tables)
    directions = torch.cat([unit_directions(sae) for sae in saes])
    origin = Origin.of(store, n_rows)
    nulls = (shifted(codes, origin), shifted(codes, origin, seed=1))
    found = match_latents(codes, nulls, directions, groups)
    live, often = (int((codes.counts >= least).sum()) for least in (1, MIN_TOKENS))
    notes += _elsewhere(series, store)
    if too_few := live - often:
        notes.append(
            f"{too_few:,} of {live:,} live latents fire on fewer than {MIN_TOKENS} of these tokens: they "
            "are not matched by firing."
        )
    by_series, place = [], 0
    for one in series:
        own = slice(place, place + len(one.saes))
        by_series.append((one.name, evaluated[own], _rates(one.saes, held_out[own], levels_on, rms)))
        place = own.stop
    notes += sorted({note for table in evaluated for note in table.sample.notes})
    notes.append(_which_rows(levels_on, rms))
    return Comparison(
        levels=levels_frame([(name, tables_) for name, tables_, _ in by_series]),
        pairs=found.pairs,
        overlap=overlap_frame(overlap(found, codes, groups.group, MIN_TOKENS), names),
        rate=rate_frame([(name, rates) for name, _, rates in by_series]),
        latents=latent_table(codes, origin, groups, _text(source)),
        n_tokens=n_rows,
        notes=tuple(notes),
    )


def _evaluated(
    sae: SparseAutoencoder,
    store: ActivationStore,
    source: ActivationSource | None,
    n_tokens: int,
    step: float,
    progress: bool,
    force: bool,
) -> LevelTable:
    if source is not None and (store.manifest.context_rows or store.holdout is not None):
        return evaluate_levels(
            sae, source, store, n_tokens=n_tokens, quantiser_step=step, progress=progress, force=force
        )
    rows = store.holdout or store
    n_tokens = min(n_tokens, rows.n_rows)
    return evaluate_rows(sae, rows, n_tokens=n_tokens, quantiser_step=step, progress=progress, force=force)


def _common_rms(saes: Sequence[SparseAutoencoder], tables: Sequence[CodeTable]) -> float:
    """Of the values of all SAEs together: what is compared in bits is written with one step."""
    squares = sum(sum_of_squares(codes, decoder_norms(sae)) for sae, codes in zip(saes, tables, strict=True))
    return math.sqrt(squares / sum(len(codes) for codes in tables))


def _which_rows(rows: ActivationStore, rms: float) -> str:
    which = "the store's holdout" if rows.manifest.context_rows else "the store's own rows, as there is no holdout"
    return f"Levels and rates are measured on {which}; values are written in steps of {default_step(rms):.3g}, for all."


def _rates(
    saes: Sequence[SparseAutoencoder], tables: Sequence[CodeTable], store: ActivationStore, rms: float
) -> list[dict]:
    settings, out = RateDistortion(), []
    for place, (sae, codes) in enumerate(zip(saes, tables, strict=True)):
        records, _ = rate_and_fvu(sae, codes, store, [step * rms for step in settings.steps], settings.tokens)
        for record in records:
            level = record["level"] if len(saes) == 1 else place
            step = settings.steps[record.pop("s")]
            out.append({**record, "level": level, "width": sae.prefix_widths[record["level"]], "step_over_rms": step})
    return out


def _model(store: ActivationStore) -> tuple[ActivationSource | None, list[str]]:
    """The model the store records, and a note where it is not available."""
    if store.spec.kind != "transformer_lens":
        return None, []
    from msae.activations.reopen import reopen

    try:
        return reopen(store.spec), []
    except MsaeError as error:
        return None, [f"The model could not be opened, so there is no CE: {error}"]


def _text(source: ActivationSource | None) -> TokenText | None:
    tokenizer = getattr(source, "tokenizer", None)
    return None if tokenizer is None else TokenText(tokenizer)


def _store(store: ActivationStore | str | Path | None, series: Sequence[Series]) -> ActivationStore:
    if isinstance(store, ActivationStore):
        return store
    recorded = next((one.store for one in series if one.store is not None), None)
    if store is None and recorded is None:
        raise ConfigError("SAEs alone do not say where activations are: name a store")
    return ActivationStore.open(store if store is not None else recorded)  # type: ignore[arg-type]


def _elsewhere(series: Sequence[Series], store: ActivationStore) -> list[str]:
    """A note where what is compared was trained on other tokens than it is measured on."""
    others = [one.name for one in series if one.fingerprint not in (None, store.fingerprint)]
    if not others:
        return []
    names = ", ".join(others)
    return [f"Measured on {store.path}; trained on another store's tokens: {names}. What differs may be the text."]


def _require_match(series: Sequence[Series], store: ActivationStore, force: bool) -> None:
    """Before anything is computed: every SAE reads what the store holds."""
    for name, sae in (member for one in series for member in one.members):
        if sae.source is not None:
            require_same_source(sae.source, store.spec, what=f"{name} and the store {store.path}", force=force)
        if sae.d_in != store.d_in:
            raise MismatchError(f"{name} reads d_in = {sae.d_in} numbers, the rows of {store.path} have {store.d_in}")


def _level_shown(series: Series, place: int) -> np.ndarray:
    sae = series.saes[place]
    return sae.level_of.cpu().numpy() if len(series.saes) == 1 else np.full(sae.d_sae, place)


def _series(
    runs: Sequence[Comparable | Sequence[Comparable]] | Mapping[str, Comparable | Sequence[Comparable]],
) -> list[Series]:
    if isinstance(runs, str | Path | Run | SparseAutoencoder):
        runs = [runs]
    named: Iterable[tuple[str | None, Any]] = runs.items() if isinstance(runs, Mapping) else ((None, r) for r in runs)
    series = [_one_series(name, item, number) for number, (name, item) in enumerate(named)]
    if not series:
        raise ConfigError("no run was given to compare")
    names = [name for one in series for name, _ in one.members]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two of what is compared are called {twice[0]!r}: give names, as in {{'name': run, …}}")
    return series


def _one_series(name: str | None, item: Any, number: int) -> Series:
    if isinstance(item, SparseAutoencoder):
        return Series(name=name or f"SAE {number}", saes=(item,))
    if isinstance(item, str | Path):
        return _from_path(name or str(item), Path(item))
    if isinstance(item, Run):
        return _of_run(name or str(item.path), item)
    if not isinstance(item, Iterable):
        raise ConfigError(f"{item!r} cannot be compared: give a run, an SAE, the folder of one, or several of these")
    parts = [_one_series(None, part, place) for place, part in enumerate(item)]
    return _side_by_side(name or f"series {number}", parts)


def _of_run(name: str, run: Run) -> Series:
    return Series(name=name, saes=(run.load_sae(),), store=run.store_path, fingerprint=run.store_fingerprint)


def _from_path(name: str, path: Path) -> Series:
    if RunFolder(path).is_run:
        return _of_run(name, Run.open(path))
    if inside := runs_in(path):
        return _side_by_side(name, [_from_path(str(folder.path), folder.path) for folder in inside])
    if not holds_sae(path):
        raise CheckpointError(f"{path} is no run (config.json), saved SAE (cfg.json) or folder of runs")
    return Series(name=name, saes=(load(path),))


def _side_by_side(name: str, parts: Sequence[Series]) -> Series:
    saes = sorted((sae for part in parts for sae in part.saes), key=lambda sae: sae.d_sae)
    widths = [sae.d_sae for sae in saes]
    nested = [sae.prefix_widths for sae in saes if sae.n_levels > 1]
    if not saes or len(set(widths)) < len(widths) or (nested and len(saes) > 1):
        raise ConfigError(
            f"{name}: SAEs are shown as the levels of one series when each has one level and a width of its own; these "
            f"have widths {widths}" + (f" and levels {nested}" if nested else "")
        )
    first = next((part for part in parts if part.store), parts[0])
    return Series(name=name, saes=tuple(saes), store=first.store, fingerprint=first.fingerprint)
