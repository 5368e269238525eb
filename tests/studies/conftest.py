"""A nested run on a known forest, with its independent baselines."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

import msae
from msae.activations.synthetic import SyntheticSource
from msae.studies.independent import train_independent

FOREST = msae.SyntheticForest(d_in=24, n_roots=6, root_rate=0.15, branching=(3,))


def harvested(
    path: Path, seed: int = 0, n_tokens: int = 8000, forest: msae.SyntheticForest = FOREST
) -> msae.ActivationStore:
    source = SyntheticSource(forest=forest, context_size=64, seed=seed)
    documents = (msae.Document(str(number), "") for number in range(10**6))
    return msae.harvest(source, documents, n_tokens=n_tokens, path=path, holdout_tokens=1280, progress=False)


def trained(store: msae.ActivationStore, path: Path, **settings: object) -> msae.Run:
    shape = {"d_in": store.d_in, "d_sae": 24, "activation_fn": msae.BatchTopK(k=2), "seed": 7}
    sae = msae.SparseAutoencoder(**(shape | {"nesting": msae.FixedPrefixes((6, 24))} | settings))
    config = msae.TrainConfig(n_tokens=60 * 512, batch_size=512, lr=5e-3)
    return msae.train(sae, store, config, path, progress=False)


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """`make.store(path)` and `make.run(store, path)`."""
    return SimpleNamespace(store=harvested, run=trained, forest=FOREST)


@pytest.fixture(scope="session")
def nested(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """`store`, `run`, and `baselines` by width, trained by `train_independent`."""
    folder = tmp_path_factory.mktemp("nested")
    store = harvested(folder / "acts")
    run = trained(store, folder / "run")
    return SimpleNamespace(store=store, run=run, baselines=train_independent(run, progress=False))
