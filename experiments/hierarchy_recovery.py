"""Does nesting keep the parents of a known hierarchy alive? Matryoshka against a plain SAE, six seeds each.

    python experiments/hierarchy_recovery.py            # a minute or two on two cores
    python experiments/hierarchy_recovery.py --json

Rows come from a forest of 24 roots with four exclusive children each (`SyntheticForest`): a plain SAE of the right
width saves one firing per row by letting a child's latent carry its parent's direction too, and the parent's latent
then stays silent on that child (feature absorption). The nested SAE must explain rows with its first 24 latents alone,
which keeps the parents. Both have one latent a feature, k the mean number of features on a row, and see the same rows.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import torch
import tyro
from rich.console import Console
from rich.table import Table

from msae.activations.synthetic import SyntheticForest
from msae.analysis.truth.recovery import Recovery, recovery
from msae.core.config import to_dict
from msae.sae import BatchTopK, FixedPrefixes, Nesting, SparseAutoencoder, Unnested
from msae.training import TrainConfig, Trainer

FOREST = SyntheticForest(d_in=96, n_roots=24, root_rate=0.05, branching=(4,), child_rate=0.8)
HOLDOUT_ROWS, TEST_ROWS, SCALING_ROWS = 50_000, 20_000, 50_000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`n_tokens`: rows each SAE is trained on. `k`: codes a row (default: the mean number of features on a row).

    `lr`: by default msae's own. `workers`: SAEs trained at once, one core each.
    """

    n_tokens: int = 600_000
    batch_size: int = 512
    lr: float | None = None
    k: float | None = None
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    workers: int = 2
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class Result:
    name: str
    seed: int
    fvu: float
    recovery: Recovery

    def figures(self) -> dict[str, float]:
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


def nestings() -> dict[str, Nesting]:
    """A level for each depth of the forest, and no levels at all."""
    widths = torch.bincount(FOREST.depth).cumsum(0).tolist()
    return {"Matryoshka": FixedPrefixes(tuple(widths)), "Unnested": Unnested()}


def train_and_compare(name: str, seed: int, settings: Settings) -> Result:
    k = settings.k or FOREST.firing_rate.sum().item()
    sae = SparseAutoencoder(FOREST.d_in, FOREST.n_features, BatchTopK(k=k), nestings()[name], seed=seed)
    config = TrainConfig(n_tokens=settings.n_tokens, batch_size=settings.batch_size, lr=settings.lr, seed=seed)
    scaling_rows, _ = FOREST.sample(SCALING_ROWS, seed=seed, stream="scaling")
    trainer = Trainer(sae, config, scaling_rows, reservoir_rows=0)
    for x in itertools.islice(FOREST.batches(settings.batch_size, seed=seed), config.n_steps):
        trainer.step(x)
    sae = trainer.finish(FOREST.sample(HOLDOUT_ROWS, seed=seed, stream="holdout")[0])
    rows, truth = FOREST.sample(TEST_ROWS, seed=seed, stream="test")
    with torch.no_grad():
        codes = sae.encode_dense(rows)
    found = recovery(sae.W_dec.detach(), codes, FOREST.directions, truth, FOREST.parent)
    return Result(name=name, seed=seed, fvu=sae.recorded[-1].fvu, recovery=found)


def summarise(results: list[Result]) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and standard deviation over seeds of each figure, by SAE."""
    out: dict[str, dict[str, tuple[float, float]]] = {}
    for name, group in itertools.groupby(results, key=lambda result: result.name):
        rows = [result.figures() for result in group]
        columns = {figure: torch.tensor([row[figure] for row in rows], dtype=torch.float64) for figure in rows[0]}
        out[name] = {
            figure: (values.mean().item(), values.std(correction=min(1, len(rows) - 1)).item())
            for figure, values in columns.items()
        }
    return out


def as_table(summary: dict[str, dict[str, tuple[float, float]]], settings: Settings) -> Table:
    table = Table(
        title=f"{FOREST.n_features} known features, mean ± standard deviation over seeds {settings.seeds}",
        caption="parent silent: the latent matched to a parent does not fire on rows where the parent fires,\n"
        "with one of its children or without. F1 counts latents that never fire as 0.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("")
    for name in summary:
        table.add_column(name, justify="right")
    for figure in next(iter(summary.values())):
        table.add_row(figure, *("{:.3f} ± {:.3f}".format(*summary[name][figure]) for name in summary))
    return table


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
    summary = summarise(results)
    if settings.json:
        means = {name: {f: {"mean": m, "sd": sd} for f, (m, sd) in row.items()} for name, row in summary.items()}
        runs = [{"name": result.name, "seed": result.seed, **result.figures()} for result in results]
        print(
            json.dumps(
                {"forest": to_dict(FOREST), "settings": to_dict(settings), "summary": means, "runs": runs}, indent=2
            )
        )
        return
    Console().print(as_table(summary, settings))


if __name__ == "__main__":
    main(tyro.cli(Settings))
