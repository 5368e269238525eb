"""Edges scored against a forest that is known: `SyntheticForest`, or any features with directions and parents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.analysis.truth.recovery import match_features
from msae.core.errors import EvaluationError
from msae.sae.autoencoder import SparseAutoencoder

RECOVERED_ABOVE = 0.9


@dataclass(frozen=True, kw_only=True)
class EdgeScores:
    """Edges between recovered features, against the ancestor closure (a grandparent is no error).

    `precision`: of the edges between two recovered features, the share whose parent is an ancestor of the child.
    `recall`: of the (ancestor, descendant) pairs of recovered features whose latents lie in different bands, the share
    that is an edge. `inverted`: of those pairs, how many have the ancestor in the later band, where no edge can be.
    `recall_in_order` leaves these out. `same_band`: pairs of recovered features that one band holds, which no edge can
    join and `recall` does not count. Figures are None where there is nothing to count.
    """

    precision: float | None
    recall: float | None
    recall_in_order: float | None
    recovered: int
    features: int
    edges: int
    pairs: int
    inverted: int
    same_band: int


def edge_scores(
    tree: pa.Table,
    sae: SparseAutoencoder,
    directions: Float[Tensor, "feature d_in"],
    parent: Int[Tensor, " feature"],
) -> EdgeScores:
    """Score table ``tree``; a feature is recovered when its latent (one to one, Hungarian) has a cosine > 0.9.

    Raises `EvaluationError` when not one feature is recovered.
    """
    matching = match_features(sae.W_dec, directions)
    feature_of = np.full(sae.d_sae, -1)
    recovered = torch.nonzero(matching.cosine > RECOVERED_ABOVE)[:, 0].tolist()
    if not recovered:
        raise EvaluationError(f"not one of {len(directions)} features has a latent with a cosine > {RECOVERED_ABOVE}")
    latent_of = {feature: int(matching.latent[feature]) for feature in recovered}
    for feature, latent in latent_of.items():
        feature_of[latent] = feature
    above = {feature: _ancestors(feature, parent.tolist()) for feature in recovered}
    edges = {
        (int(feature_of[p]), int(feature_of[c]))
        for p, c in zip(tree["parent"].to_pylist(), tree["child"].to_pylist(), strict=True)
        if feature_of[p] >= 0 and feature_of[c] >= 0
    }
    level = sae.level_of.tolist()
    closure = [(up, feature) for feature in recovered for up in above[feature] if up in latent_of]
    step = {pair: level[latent_of[pair[1]]] - level[latent_of[pair[0]]] for pair in closure}
    across = [pair for pair in closure if step[pair] != 0]
    in_order = [pair for pair in closure if step[pair] > 0]
    hits = len(edges & set(closure))
    return EdgeScores(
        precision=hits / len(edges) if edges else None,
        recall=hits / len(across) if across else None,
        recall_in_order=hits / len(in_order) if in_order else None,
        recovered=len(recovered),
        features=len(directions),
        edges=len(edges),
        pairs=len(across),
        inverted=len(across) - len(in_order),
        same_band=len(closure) - len(across),
    )


def _ancestors(feature: int, parent: list[int]) -> set[int]:
    out = set()
    while (feature := parent[feature]) >= 0:
        out.add(feature)
    return out
