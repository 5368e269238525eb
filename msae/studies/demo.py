"""The whole path on the model that ships with msae: harvest, train, evaluate. No download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msae.demo
from msae.activations.harvest import harvest
from msae.activations.store import ActivationStore
from msae.activations.transformer_lens import TransformerLensSource
from msae.analysis.level_table import LevelTable
from msae.core.errors import StoreError
from msae.sae import BatchTopK, FixedPrefixes, SparseAutoencoder
from msae.studies.evaluate_run import evaluate_run
from msae.training import Run, TrainConfig, train


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """What the demo trains. `layer` counts from 0; sizes are in tokens."""

    layer: int = 4
    widths: tuple[int, ...] = (64, 256, 1024)
    k: int = 12
    harvest_tokens: int = 500_000
    train_tokens: int = 3_000_000
    eval_tokens: int = 32_768
    seed: int = 0


def run_demo(settings: DemoSettings, path: Path, acts: Path, *, progress: bool = True) -> tuple[Run, LevelTable]:
    """Harvest training text into `acts`, train into the run folder `path`, evaluate on held-out text.

    A finished store or run is used again, an unfinished one is gone on with.
    """
    source = TransformerLensSource(msae.demo.model_path(), layer=settings.layer)
    store = _store(source, settings, acts, progress)
    run = Run(path)
    if not run.is_finished:
        sae = SparseAutoencoder(
            store.d_in,
            settings.widths[-1],
            BatchTopK(k=settings.k),
            FixedPrefixes(settings.widths),
            seed=settings.seed,
        )
        config = TrainConfig(n_tokens=settings.train_tokens, seed=settings.seed)
        run = train(sae, store, config, path, progress=progress)
    heldout = msae.demo.documents("heldout")
    return run, evaluate_run(run, heldout, n_tokens=settings.eval_tokens, progress=progress)


def _store(source: TransformerLensSource, settings: DemoSettings, acts: Path, progress: bool) -> ActivationStore:
    try:
        return ActivationStore.open(acts)
    except StoreError:
        documents = msae.demo.documents("train")
        return harvest(source, documents, n_tokens=settings.harvest_tokens, path=acts, progress=progress)
