"""How 0.1.0/ was made, once, with msae 0.1.0 (commit b0ef39d); figures (HTML) and most tables were then left out.

Run in an empty folder. No test runs it: what it made is what the tests open.
"""

from __future__ import annotations

import contextlib

import msae
from msae.activations.synthetic import SyntheticForest, SyntheticSource
from msae.studies.analyze_run import analyze_run
from msae.studies.evaluate_run import evaluate_run
from msae.training import loop

FOREST = SyntheticForest(d_in=12, n_roots=4, root_rate=0.2, branching=(2,))
HARVEST = {"n_tokens": 800, "holdout_tokens": 160, "progress": False}


class StoppedError(Exception):
    pass


class Stopping(SyntheticSource):
    passes = 0

    def activations(self, batch):
        Stopping.passes += 1
        if Stopping.passes == 3:
            raise StoppedError
        return super().activations(batch)


def documents():
    return [msae.Document(str(number), "") for number in range(100)]


def untrained():
    return msae.SparseAutoencoder(12, 16, msae.BatchTopK(k=2), msae.FixedPrefixes((4, 16)), seed=3)


if __name__ == "__main__":
    store = msae.harvest(SyntheticSource(forest=FOREST, context_size=16), documents(), path="store", **HARVEST)
    config = msae.TrainConfig(n_tokens=40 * 128, batch_size=128, lr=5e-3, checkpoint_every=10 * 128)
    run = msae.train(untrained(), store, config, "run", progress=False)
    evaluate_run(run, n_tokens=150, progress=False)
    analyze_run(run, tokens=800, concept_tokens=0, progress=False)

    step = loop._Session.step

    def step_until_25(self, x, bar):
        step(self, x, bar)
        if self.trainer.steps_done == 25:
            raise StoppedError

    loop._Session.step = step_until_25
    with contextlib.suppress(StoppedError):
        msae.train(untrained(), store, config, "unfinished", progress=False)
    with contextlib.suppress(StoppedError):
        cut = Stopping(forest=FOREST, context_size=16)
        msae.harvest(cut, documents(), path="harvest", shard_rows=300, **HARVEST)
