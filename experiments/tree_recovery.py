"""Does the feature tree find a hierarchy that is known, and what is absorbed? SAEs trained on a forest, three seeds.

    python experiments/tree_recovery.py            # a few minutes on two cores
    python experiments/tree_recovery.py --n_tokens 200000 --seeds 0

Edges are scored against the ancestor closure, between features recovered at |cosine| > 0.9 whose latents lie in
different bands; edges of codes shifted within documents are counted beside them, and what limits the recall. Absorption
(unsupervised: mean rate over all candidates) is that of the Matryoshka SAE and of a plain one of the same width and L0.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import tyro
from rich.console import Console
from rich.table import Table

from msae.activations.store import RowTokens
from msae.activations.synthetic import SyntheticForest
from msae.analysis.all_measurements import Absorption, Tree
from msae.analysis.features.collection import collect
from msae.analysis.sample import ArrayRows, Collected
from msae.analysis.truth.edge_scores import EdgeScores, edge_scores
from msae.sae import BatchTopK, FixedPrefixes, Nesting, SparseAutoencoder, Unnested
from msae.training import TrainConfig, Trainer

FOREST = SyntheticForest(d_in=96, n_roots=24, root_rate=0.05, branching=(4,), child_rate=0.8)
DOCUMENT = 64


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`n_tokens`: rows trained on. `n_test`: rows the tree is measured on."""

    n_tokens: int = 600_000
    n_test: int = 40_000
    seeds: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    seed: int
    scores: EdgeScores
    edges: int
    edges_by_chance: int
    absorption: float
    absorption_by_chance: float
    absorption_unnested: float
    absorption_unnested_by_chance: float


def trained(nesting: Nesting, seed: int, n_tokens: int) -> SparseAutoencoder:
    """One latent a feature, and as many codes a row as features fire."""
    k = FOREST.firing_rate.sum().item()
    sae = SparseAutoencoder(FOREST.d_in, FOREST.n_features, BatchTopK(k=k), nesting, seed=seed)
    sample, _ = FOREST.sample(50_000, seed=seed, stream="scaling")
    config = TrainConfig(n_tokens=n_tokens, batch_size=512, lr=3e-3, seed=seed)
    trainer = Trainer(sae, config, sample)
    batches = FOREST.batches(config.batch_size, seed=seed)
    for _ in range(n_tokens // config.batch_size):
        trainer.step(next(batches))
    holdout, _ = FOREST.sample(50_000, seed=seed, stream="holdout")
    return trainer.finish(holdout)


def collected_sample(sae: SparseAutoencoder, n_rows: int, seed: int) -> Collected:
    x, _ = FOREST.sample(n_rows, seed=seed, stream="tree")
    row = torch.arange(n_rows)
    tokens = RowTokens(token_id=torch.zeros_like(row), document=row // DOCUMENT, offset=row % DOCUMENT)
    return collect(sae, ArrayRows(x, tokens))


def measure(seed: int, settings: Settings) -> Outcome:
    a_level_each_depth = FixedPrefixes(tuple(torch.bincount(FOREST.depth).cumsum(0).tolist()))
    sae, plain = (trained(nesting, seed, settings.n_tokens) for nesting in (a_level_each_depth, Unnested()))
    collected = collected_sample(sae, settings.n_test, seed)
    tree, absorption = Tree().run(collected), Absorption().run(collected)
    absorption_plain = Absorption().run(collected_sample(plain, settings.n_test, seed))
    return Outcome(
        seed=seed,
        scores=edge_scores(tree.tables["tree"], sae, FOREST.directions, FOREST.parent),
        edges=int(tree.summary["edges"]),
        edges_by_chance=int(tree.summary["edges_by_chance"]),
        absorption=float(absorption.summary["mean_rate"] or 0.0),
        absorption_by_chance=float(absorption.summary["mean_null_rate"] or 0.0),
        absorption_unnested=float(absorption_plain.summary["mean_rate"] or 0.0),
        absorption_unnested_by_chance=float(absorption_plain.summary["mean_null_rate"] or 0.0),
    )


def main(settings: Settings) -> None:
    outcomes = [measure(seed, settings) for seed in settings.seeds]
    rows = [
        {**asdict(outcome.scores), **{n: v for n, v in vars(outcome).items() if n != "scores"}} for outcome in outcomes
    ]
    table = Table(title=f"Edges against the truth: {FOREST.n_features} features, {settings.n_tokens:,} rows trained on")
    table.add_column("seed")
    for outcome in outcomes:
        table.add_column(str(outcome.seed), justify="right")
    for name in (name for name in rows[0] if name != "seed"):
        table.add_row(name.replace("_", " "), *(_written(row[name]) for row in rows))
    Console().print(table)


def _written(value: float | int | None) -> str:
    return "n/a" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main(tyro.cli(Settings))
