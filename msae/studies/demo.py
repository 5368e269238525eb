"""The whole path on the model that ships with msae: harvest, train, evaluate. No download."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msae.demo
from msae.activations.harvest import harvest
from msae.activations.manifest import MANIFEST
from msae.activations.store import ActivationStore
from msae.activations.transformer_lens import TransformerLensSource
from msae.analysis.levels.level_table import LevelTable
from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import ConfigError, StoreError
from msae.core.spec import require_same_source
from msae.data.documents import Document, Documents
from msae.sae import BatchTopK, FixedPrefixes, SparseAutoencoder
from msae.studies.evaluate_run import evaluate_run
from msae.training import Run, TrainConfig, train
from msae.training.run import run_config
from msae.training.run_folder import require_free_or_run, require_replaceable, require_same_settings

TRAIN_EXCERPT, EVAL_EXCERPT = 6_000, 1_000


@checked
@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """What the demo trains. `layer` counts from 0; sizes are in tokens. `holdout_tokens`: never trained on, for the
    analysis."""

    layer: int = 3
    widths: tuple[int, ...] = (64, 256, 1024)
    k: int = 12
    harvest_tokens: int = 500_000
    holdout_tokens: int = 100_000
    train_tokens: int = 3_000_000
    eval_tokens: int = 32_768
    seed: int = 0

    def __post_init__(self) -> None:
        require(len(self.widths) > 0, "widths", self.widths, "at least one width")
        for name in ("harvest_tokens", "train_tokens", "eval_tokens"):
            require(getattr(self, name) > 0, name, getattr(self, name), "at least one token")


@checked
def run_demo(
    settings: DemoSettings, path: Path, acts: Path, *, replace: bool = False, progress: bool = True
) -> tuple[Run, LevelTable]:
    """Harvest training text into `acts`, train into the run folder `path`, evaluate on held-out text.

    A finished store or run of these settings is used again, an unfinished one is gone on with; with `replace` both are
    made anew, and each takes the place of what is there once it is finished. Raises `ConfigError` (for a run),
    `StoreError` or `MismatchError` (for a store) when what is there was made with other settings, and `ConfigError` for
    settings that make no sense; all of that before anything is computed.
    """
    source = TransformerLensSource(msae.demo.model_path(), layer=settings.layer)
    (spec,) = source.specs.values()
    nesting = FixedPrefixes(settings.widths)
    sae = SparseAutoencoder(spec.d_in, settings.widths[-1], BatchTopK(k=settings.k), nesting, seed=settings.seed)
    config = TrainConfig(n_tokens=settings.train_tokens, seed=settings.seed)
    run = Run(path)
    if acts.resolve().is_relative_to(path.resolve()):
        raise ConfigError(f"the store {acts} would lie in the run {path}: name another --store")
    if replace:
        require_replaceable(path)
    else:
        require_free_or_run(path)
    if run.folder.is_run and not replace:
        require_same_settings(run, run_config(sae, config, acts, run.store_fingerprint, spec))
    store = _store(source, settings, acts, replace, progress)
    if run.is_finished and not replace:
        require_same_settings(run, run_config(sae, config, store.path, store.fingerprint, store.spec))
    else:
        run = train(sae, store, config, path, replace=replace, progress=progress)
    heldout = excerpts(msae.demo.documents("heldout"), EVAL_EXCERPT)
    return run, evaluate_run(run, heldout, n_tokens=settings.eval_tokens, progress=progress)


def excerpts(documents: Iterable[Document], n_characters: int) -> Documents:
    """Whole lines from the middle of each document, about `n_characters` of them: many documents for the same tokens.

    A few long modules would make L0 and FVU those of their subject. Named ``module:first line``.
    """

    def read() -> Iterator[Document]:
        for document in documents:
            lines = document.text.splitlines(keepends=True)
            first, size = 0, len(document.text)
            while first < len(lines) and size > (len(document.text) + n_characters) / 2:
                size -= len(lines[first])
                first += 1
            text = "".join(lines[first:])[:n_characters]
            kept = text[: text.rfind("\n") + 1] or text
            yield Document(f"{document.name}:{first + 1}", kept)

    return Documents(f"excerpts of about {n_characters:,} characters of the demo model's text", read)


def _store(
    source: TransformerLensSource, settings: DemoSettings, acts: Path, replace: bool, progress: bool
) -> ActivationStore:
    if replace or not (acts / MANIFEST).is_file():
        text = excerpts(msae.demo.documents("train"), TRAIN_EXCERPT)
        return harvest(
            source,
            text,
            n_tokens=settings.harvest_tokens,
            holdout_tokens=min(settings.holdout_tokens, settings.harvest_tokens // 5),
            path=acts,
            replace=replace,
            progress=progress,
        )
    store = ActivationStore.open(acts)
    (spec,) = source.specs.values()
    require_same_source(store.spec, spec, what=f"the store at {acts} and the demo requested")
    if store.manifest.harvest.n_tokens != settings.harvest_tokens:
        raise StoreError(
            f"the store at {acts} was made with {store.manifest.harvest.n_tokens:,} tokens requested, now it is "
            f"{settings.harvest_tokens:,}: use as many, or replace it (--replace), or name another (--store)"
        )
    return store
