"""Does nesting keep a known hierarchy, and does the feature tree find it? Nested and plain SAEs, six seeds each.

    python experiments/studies/forest.py            # some two minutes on two quiet cores
    python experiments/studies/forest.py --seeds 0 --n-tokens 150000

Rows come from a forest of 24 roots with four exclusive children each (`SyntheticForest`). A plain SAE of the right
width saves one firing a row by letting a child's latent carry its parent's direction too; the parent's latent then
stays silent on that child (feature absorption). A nested SAE must explain rows with its first 24 latents alone, which
keeps the parents. Both have one latent a feature, k the mean number of features on a row, and see the same rows.

The first table compares the SAEs with the known features. The second scores the edges of the feature tree against the
ancestor closure, between features recovered at |cosine| > 0.9 whose latents lie in different bands, next to the edges
of codes shifted within documents, and says what limits the recall. Absorption there is the unsupervised measurement:
its mean rate over all candidates, of the nested SAE and of the plain one.
"""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro
from rich.console import Console
from rich.table import Table

from experiments.lib.results import Figure, mean_of, record
from msae.activations.store import RowTokens
from msae.activations.synthetic import SyntheticForest
from msae.analysis.all_measurements import Absorption, Tree
from msae.analysis.features.collection import collect
from msae.analysis.sample import ArrayRows
from msae.analysis.truth.edge_scores import EdgeScores, edge_scores
from msae.analysis.truth.recovery import Recovery, recovery
from msae.core.config import to_dict
from msae.sae import BatchTopK, FixedPrefixes, Nesting, SparseAutoencoder, Unnested
from msae.training import TrainConfig, Trainer

QUESTION = "Does nesting keep a known hierarchy, and does the feature tree find it?"
FOREST = SyntheticForest(d_in=96, n_roots=24, root_rate=0.05, branching=(4,), child_rate=0.8)
HOLDOUT_ROWS, TEST_ROWS, SCALING_ROWS = 50_000, 20_000, 50_000
DOCUMENT = 64
NESTED, PLAIN = "Matryoshka", "Unnested"
TREE_UNITS = {
    "recovered": "features",
    "features": "features",
    "pairs": "pairs",
    "inverted": "pairs",
    "same_band": "pairs",
}
UNITS = {"L0": "latents a row", "FVU": "fraction of variance", "dead": "latents", "mean |cos|": "cosine"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`n_tokens`: rows each SAE is trained on. `n_tree`: rows the tree is measured on. `k`: codes a row (default: the
    mean number of features on a row). `lr`: by default msae's own. `workers`: SAEs trained at once, one core each.
    `results`: write every figure there (JSON).
    """

    n_tokens: int = 600_000
    batch_size: int = 512
    lr: float | None = None
    k: float | None = None
    n_tree: int = 40_000
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    workers: int = 2
    results: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the tree and the unsupervised absorption say of one SAE. `scores`: None of an SAE without levels."""

    scores: EdgeScores | None
    edges: int
    edges_by_chance: int
    absorption: float
    absorption_by_chance: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """One SAE against the truth."""

    name: str
    seed: int
    fvu: float
    recovery: Recovery
    found: Found

    def figures(self) -> dict[str, float]:
        """Those of the first table, by name."""
        silence = self.recovery.parent_silence
        assert silence is not None
        return {
            "mean |cos|": self.recovery.mean_cosine,
            "F1 per latent": self.recovery.f1,
            "parent silent on children": silence.on_children,
            "parent silent without": silence.without_children or 0.0,
            "uniqueness": self.recovery.uniqueness,
            "dead": self.recovery.dead,
            "L0": self.recovery.l0,
            "FVU": self.fvu,
        }


def main(settings: Settings) -> None:
    cases = list(itertools.product(nestings(), settings.seeds))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        settings.workers, mp_context=spawn, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        pending = [pool.submit(train_and_compare, name, seed, settings) for name, seed in cases]
        for done in as_completed(pending):
            result = done.result()
            Console(stderr=True).print(f"{result.name}, seed {result.seed}: done", style="dim", highlight=False)
    results = [done.result() for done in pending]
    Console(width=120).print(recovery_table(results, settings.seeds))
    Console(width=120).print(tree_table(results, settings))
    if settings.results:
        kept = {name: value for name, value in vars(settings).items() if name not in ("results", "workers")}
        record(
            settings.results,
            __file__,
            question=QUESTION,
            figures=figures(results),
            seeds=settings.seeds,
            settings={**kept, "forest": to_dict(FOREST)},
            threads=1,
        )


def nestings() -> dict[str, Nesting]:
    """A level for each depth of the forest, and no levels at all."""
    widths = torch.bincount(FOREST.depth).cumsum(0).tolist()
    return {NESTED: FixedPrefixes(tuple(widths)), PLAIN: Unnested()}


def train_and_compare(name: str, seed: int, settings: Settings) -> Result:
    sae = trained(name, seed, settings)
    rows, truth = FOREST.sample(TEST_ROWS, seed=seed, stream="test")
    with torch.no_grad():
        codes = sae.encode_dense(rows)
    found = recovery(sae.W_dec.detach(), codes, FOREST.directions, truth, FOREST.parent)
    hierarchy = measure_hierarchy(sae, settings.n_tree, seed)
    return Result(name=name, seed=seed, fvu=sae.recorded[-1].fvu, recovery=found, found=hierarchy)


def trained(name: str, seed: int, settings: Settings) -> SparseAutoencoder:
    """One latent a feature, and as many codes a row as features fire."""
    k = settings.k or FOREST.firing_rate.sum().item()
    sae = SparseAutoencoder(FOREST.d_in, FOREST.n_features, BatchTopK(k=k), nestings()[name], seed=seed)
    config = TrainConfig(n_tokens=settings.n_tokens, batch_size=settings.batch_size, lr=settings.lr, seed=seed)
    scaling_rows, _ = FOREST.sample(SCALING_ROWS, seed=seed, stream="scaling")
    trainer = Trainer(sae, config, scaling_rows, reservoir_rows=0)
    for x in itertools.islice(FOREST.batches(settings.batch_size, seed=seed), config.n_steps):
        trainer.step(x)
    return trainer.finish(FOREST.sample(HOLDOUT_ROWS, seed=seed, stream="holdout")[0])


def measure_hierarchy(sae: SparseAutoencoder, n_rows: int, seed: int) -> Found:
    """What `msae analyze` would say of it, on rows in documents of 64, and the edges' scores."""
    x, _ = FOREST.sample(n_rows, seed=seed, stream="tree")
    row = torch.arange(n_rows)
    tokens = RowTokens(token_id=torch.zeros_like(row), document=row // DOCUMENT, offset=row % DOCUMENT)
    collected = collect(sae, ArrayRows(x, tokens))
    tree, absorption = Tree().run(collected), Absorption().run(collected).summary
    nested = sae.n_levels > 1
    return Found(
        scores=edge_scores(tree.tables["tree"], sae, FOREST.directions, FOREST.parent) if nested else None,
        edges=int(tree.summary["edges"]),
        edges_by_chance=int(tree.summary["edges_by_chance"]),
        absorption=float(absorption["mean_rate"] or 0.0),
        absorption_by_chance=float(absorption["mean_null_rate"] or 0.0),
    )


def figures(results: Sequence[Result]) -> list[Figure]:
    """Those of the first table as means over seeds, those of the second a seed each."""
    out = []
    for name, group in by_name(results).items():
        rows = [result.figures() for result in group]
        out += [
            mean_of(figure, [row[figure] for row in rows], UNITS.get(figure, "fraction"), {"SAE": name})
            for figure in rows[0]
        ]
    for seed, row in tree_rows(results).items():
        out += [
            Figure(name=name, value=value, unit=_unit(name), n=1, of="SAE", case={"seed": seed})
            for name, value in row.items()
        ]
    return out


def by_name(results: Sequence[Result]) -> dict[str, list[Result]]:
    return {name: [result for result in results if result.name == name] for name in nestings()}


def tree_rows(results: Sequence[Result]) -> dict[int, dict[str, float | None]]:
    """By seed: the nested SAE's edges, and the absorption of both SAEs."""
    groups = by_name(results)
    plain = {result.seed: result.found for result in groups[PLAIN]}
    rows: dict[int, dict[str, float | None]] = {}
    for result in groups[NESTED]:
        found, without = result.found, plain[result.seed]
        assert found.scores is not None
        scores = {
            f"{name} between recovered" if name == "edges" else name: v for name, v in asdict(found.scores).items()
        }
        rows[result.seed] = {
            **scores,
            "edges": found.edges,
            "edges by chance": found.edges_by_chance,
            "absorption": found.absorption,
            "absorption by chance": found.absorption_by_chance,
            "absorption, unnested": without.absorption,
            "absorption, unnested, by chance": without.absorption_by_chance,
        }
    return rows


def recovery_table(results: Sequence[Result], seeds: Sequence[int]) -> Table:
    table = Table(
        title=f"{FOREST.n_features} known features, mean ± standard deviation over seeds {tuple(seeds)}",
        caption="parent silent: the latent matched to a parent does not fire on rows where the parent fires,\n"
        "with one of its children or without. F1 counts latents that never fire as 0.",
        title_justify="left",
        caption_justify="left",
    )
    means = {(f.name, f.case["SAE"]): f for f in figures(results) if "SAE" in f.case}
    table.add_column("")
    for name in by_name(results):
        table.add_column(name, justify="right")
    for figure in dict.fromkeys(name for name, _ in means):
        cells = (means[figure, name] for name in by_name(results))
        table.add_row(figure, *(f"{cell.value:.3f} ± {cell.sd or 0:.3f}" for cell in cells))
    return table


def tree_table(results: Sequence[Result], settings: Settings) -> Table:
    rows = tree_rows(results)
    title = f"Edges against the truth: {FOREST.n_features} features, {settings.n_tokens:,} rows trained on"
    table = Table(title=title, title_justify="left")
    table.add_column("seed")
    for seed in rows:
        table.add_column(str(seed), justify="right")
    for name in next(iter(rows.values())):
        table.add_row(name.replace("_", " "), *(_written(row[name]) for row in rows.values()))
    return table


def _unit(name: str) -> str:
    if name.startswith("edges"):
        return "edges"
    return TREE_UNITS.get(name, "fraction")


def _written(value: float | int | None) -> str:
    return "n/a" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
