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
from msae.core.errors import StoreError
from msae.core.spec import require_same_source
from msae.data.documents import Document, Documents
from msae.sae import BatchTopK, FixedPrefixes, SparseAutoencoder
from msae.studies.evaluate_run import evaluate_run
from msae.training import Run, TrainConfig, train
from msae.training.run import require_same_settings, run_config

TRAIN_EXCERPT, EVAL_EXCERPT = 6_000, 1_000


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """What the demo trains. `layer` counts from 0; sizes are in tokens."""

    layer: int = 3
    widths: tuple[int, ...] = (64, 256, 1024)
    k: int = 12
    harvest_tokens: int = 500_000
    train_tokens: int = 3_000_000
    eval_tokens: int = 32_768
    seed: int = 0


def run_demo(settings: DemoSettings, path: Path, acts: Path, *, progress: bool = True) -> tuple[Run, LevelTable]:
    """Harvest training text into `acts`, train into the run folder `path`, evaluate on held-out text.

    A finished store or run of these settings is used again, an unfinished one is gone on with. Raises `ConfigError`
    (for a run), `StoreError` or `MismatchError` (for a store) when what is there was made with other settings.
    """
    source = TransformerLensSource(msae.demo.model_path(), layer=settings.layer)
    store = _store(source, settings, acts, progress)
    run = Run(path)
    sae = SparseAutoencoder(
        store.d_in, settings.widths[-1], BatchTopK(k=settings.k), FixedPrefixes(settings.widths), seed=settings.seed
    )
    config = TrainConfig(n_tokens=settings.train_tokens, seed=settings.seed)
    if run.is_finished:
        require_same_settings(run, run_config(sae, config, store.path, store.fingerprint, store.spec))
    else:
        run = train(sae, store, config, path, progress=progress)
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


def _store(source: TransformerLensSource, settings: DemoSettings, acts: Path, progress: bool) -> ActivationStore:
    if not (acts / MANIFEST).is_file():
        documents = excerpts(msae.demo.documents("train"), TRAIN_EXCERPT)
        return harvest(source, documents, n_tokens=settings.harvest_tokens, path=acts, progress=progress)
    store = ActivationStore.open(acts)
    (spec,) = source.specs.values()
    require_same_source(store.spec, spec, what=f"the store at {acts} and the demo requested")
    if store.manifest.harvest.n_tokens != settings.harvest_tokens:
        raise StoreError(
            f"the store at {acts} was made with {store.manifest.harvest.n_tokens:,} tokens requested, now it is "
            f"{settings.harvest_tokens:,}: use as many, or replace it (--replace), or name another (--store)"
        )
    return store
