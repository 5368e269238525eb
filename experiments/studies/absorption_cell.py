"""What the absorption study measures of one SAE: as a whole, without labels, and against labelled concepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msae
from msae.analysis.all_measurements import Absorption, Tree
from msae.analysis.concepts.concept_absorption_tables import DEFINITIONS
from msae.analysis.concepts.labels import label_text
from msae.analysis.concepts.probes import ActivationProbes, ProbeSettings, probe_activations
from msae.analysis.concepts.supervised import supervised
from msae.analysis.features.collection import collect
from msae.analysis.sample import Collected, TokenText
from msae.analysis.tables import Status

GROUPS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "letters": lambda row: row["family"].startswith("first letter") and row["child"] is None,
    "python": lambda row: row["family"] == "Python" and row["child"] is None,
    "children": lambda row: row["child"] is not None,
}
"""First letters; labels of `tokenize` and `ast`; and of these, a concept on the tokens of one below it alone."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Text that no SAE was trained on: its store, the model, and on how many tokens what is measured."""

    store: msae.ActivationStore
    source: msae.TransformerLensSource
    unlabelled_tokens: int
    ce_tokens: int

    @cached_property
    def probes(self) -> ActivationProbes:
        """Probes of the text's labelled concepts on the activations: the same for every SAE."""
        labels = label_text(self.store, self.store.n_rows, TokenText(self.source.tokenizer))
        return probe_activations(self.store, labels, ProbeSettings(null=False))


def as_one_level(sae: msae.SparseAutoencoder) -> msae.SparseAutoencoder:
    """The same latents without levels, so that nested and plain SAEs answer the same questions."""
    flat = msae.SparseAutoencoder(sae.d_in, sae.d_sae, sae.activation_fn, msae.Unnested(), dtype=sae.dtype)
    flat.load_state_dict(sae.state_dict())
    flat.source, flat.recorded = sae.source, sae.recorded[-1:]
    return flat.eval()


def whole(sae: msae.SparseAutoencoder, sample: Sample) -> dict[str, Any]:
    """L0, FVU, cross-entropy recovered and dead latents of the full width."""
    flat = as_one_level(sae)
    on_rows = msae.evaluate_rows(flat, sample.store, n_tokens=sample.unlabelled_tokens, progress=False).levels[0]
    on_model = msae.evaluate_levels(
        flat, sample.source, sample.store, n_tokens=sample.ce_tokens, progress=False
    ).levels[0]
    return {
        "l0": on_rows.l0,
        "fvu": on_rows.fvu,
        "dead": on_rows.dead / flat.d_sae,
        "ce_recovered": on_model.ce_recovered,
        "kl": on_model.kl,
        "levels": [{"width": level.width, "l0": level.l0, "fvu": level.fvu} for level in sae.recorded],
    }


def unlabelled(sae: msae.SparseAutoencoder, sample: Sample) -> dict[str, Any]:
    """Unsupervised absorption of the latents without their levels, and of a nested SAE from level to level; its tree.

    `absorbed_per_token`: (parent, child) pairs a token is absorbed in, over all candidates: unlike the mean rate it
    does not depend on how many candidates are harmless.
    """
    collected = collect(sae, sample.store, n_tokens=sample.unlabelled_tokens)
    flat = Absorption().run(replace(collected, sae=as_one_level(sae)))
    found: dict[str, Any] = {"flat": _rates(collected, flat.tables["absorption"].to_pylist())}
    if sae.n_levels > 1:
        rows = Absorption().run(collected).tables["absorption"].to_pylist()
        found["across"] = _rates(collected, [row for row in rows if row["parent_level"] < row["child_level"]])
        tree = Tree().run(collected).summary
        found["edges"], found["edges_by_chance"] = tree["edges"], tree["edges_by_chance"]
    return found


def labelled(sae: msae.SparseAutoencoder, sample: Sample) -> dict[str, Any]:
    """Absorption by each definition, main latents a concept (1: it is not split) and F1 of k-sparse probes: means over
    the concepts of each of `GROUPS`, of the latents without their levels."""
    tables = supervised(as_one_level(sae), sample.store, sample.probes).tables
    rows = [row for row in tables["concept_absorption"].to_pylist() if row["status"] == Status.OK]
    found: dict[str, Any] = {}
    for name, belongs in GROUPS.items():
        own = [row for row in rows if belongs(row)]
        by_definition = {d: [row["rate"] for row in own if row["definition"] == d] for d in DEFINITIONS}
        splits = [row["n_main"] for row in own if row["definition"] == DEFINITIONS[0]]
        found[name] = {
            "concepts": len(splits),
            "splits": _mean(splits),
            **{definition: _mean(rates) for definition, rates in by_definition.items()},
        }
    probes = [row for row in tables["probes"].to_pylist() if row["f1"] is not None]
    ks = sorted({row["k"] for row in probes})
    found["f1"] = {str(k): _mean([row["f1"] for row in probes if row["k"] == k]) for k in ks}
    found["activations_f1"] = _mean([probe.score.f1 for probe in sample.probes.usable if probe.score])
    return found


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _rates(collected: Collected, rows: list[dict[str, Any]]) -> dict[str, float | None]:
    tested = [row for row in rows if row["rate"] is not None]
    if not tested:
        return {"candidates": len(rows), "tested": 0, "rate": None, "null": None, "absorbed_per_token": None}
    per_token = {
        name: sum(row[name] * row["n_child"] for row in tested) / collected.codes.n_rows
        for name in ("rate", "null_rate")
    }
    return {
        "candidates": len(rows),
        "tested": len(tested),
        "rate": sum(row["rate"] for row in tested) / len(tested),
        "null": sum(row["null_rate"] for row in tested) / len(tested),
        "absorbed_per_token": per_token["rate"],
        "absorbed_per_token_null": per_token["null_rate"],
    }
