"""An SAE against features that are known: which it recovered, which it split, and which parents were absorbed, exactly.

Everything is counted on rows whose true codes are known, so nothing here is estimated and nothing needs a null. A
latent *stands for* the feature that it detects best (the largest F1). A feature's latent is the one that the Hungarian
matching of directions gives it (`match_features`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.activations.synthetic import SyntheticForest, SyntheticSource
from msae.analysis.hierarchy.splitting import partition
from msae.analysis.measurement import Figure, Result
from msae.analysis.sample.pairing import evaluating
from msae.analysis.tables import WORD, Column, Status, TableSpec, lists, make_table
from msae.analysis.truth.edge_scores import RECOVERED_ABOVE
from msae.analysis.truth.recovery import f1_scores, match_features
from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import EvaluationError, MismatchError
from msae.core.means import mean
from msae.core.spec import require_same_source
from msae.sae.autoencoder import SparseAutoencoder

MIN_ROWS = 20
BLOCK_ROWS = 4096

_STATUS = f"'{Status.OK}'; '{Status.FEW}': fires on fewer than {MIN_ROWS} rows; '{Status.NEVER}': on none"

TRUTH_FEATURES = TableSpec(
    "truth_features",
    "a known feature: its latent, and what stands for it",
    Column("feature", pa.int32(), "number of the known feature"),
    Column("parent", pa.int32(), "the feature above it; null for a root"),
    Column("depth", pa.int16(), "0 for roots, 1 for their children, and so on"),
    Column("status", WORD, _STATUS),
    Column("n_rows", pa.int64(), "rows on which the feature truly fires"),
    Column("latent", pa.int32(), "its latent in the one-to-one matching of directions; null when none was left"),
    Column("latent_level", pa.int16(), "the level whose band that latent is in"),
    Column("cosine", pa.float64(), "signed cosine of the feature's direction and its latent's; 0 when none was left"),
    Column("recovered", pa.bool_(), f"cosine > {RECOVERED_ABOVE}"),
    Column("f1", pa.float64(), "F1 of its latent as a detector of the feature"),
    Column("best_f1", pa.float64(), "the largest F1 of any latent for the feature"),
    Column("n_latents", pa.int32(), "latents that stand for the feature; two or more: it is split"),
    Column("latents", pa.list_(pa.int32()), "their numbers"),
    Column("coverage", pa.float64(), "share of its rows on which at least one of them fires"),
    Column("overlap", pa.float64(), "mean number of further ones that fire where one does"),
    Column("entropy", pa.float64(), "bits: entropy of their shares of the covered rows, as in table splitting"),
)

TRUTH_DEPTHS = TableSpec(
    "truth_depths",
    "a depth of the forest (-1: all)",
    Column("depth", pa.int16(), "depth in the forest; -1: all features"),
    Column("features", pa.int32(), "how many features there are"),
    Column("fire", pa.int32(), "of these, how many fire on the rows drawn; the means below are over these"),
    Column("mcc", pa.float64(), "mean signed cosine of a feature and its latent (Hungarian matching)"),
    Column("recovered", pa.int32(), f"features with cosine > {RECOVERED_ABOVE}"),
    Column("f1", pa.float64(), "mean F1 of a feature's latent"),
    Column("best_f1", pa.float64(), "mean of the largest F1 of any latent for the feature"),
    Column("uniqueness", pa.float64(), "features with a latent that stands for them / latents that stand for one"),
    Column("split", pa.int32(), "features that two or more latents stand for"),
    Column("absorbed", pa.float64(), "mean over parents of this depth of their absorption rate (see truth_absorption)"),
)

TRUTH_ABSORPTION = TableSpec(
    "truth_absorption",
    "a known parent and child",
    Column("parent", pa.int32(), "number of a feature"),
    Column("child", pa.int32(), "number of a feature right below it"),
    Column("parent_latent", pa.int32(), "the parent's latent"),
    Column("child_latent", pa.int32(), "the child's latent"),
    Column("status", WORD, f"'{Status.OK}'; '{Status.FEW}': the child fires on fewer than {MIN_ROWS} rows; "
        f"'{Status.NEVER}': on none"),
    Column("n_child", pa.int64(), "rows on which the child truly fires, and so does the parent"),
    Column("silent", pa.int64(), "of these, rows on which the parent's latent is silent"),
    Column("absorbed", pa.int64(), "of these, rows on which the child's latent fires"),
    Column("rate", pa.float64(), "absorbed / n_child"),
    Column("missed_anyway", pa.float64(), "share of the rows where the parent fires without a child that its latent "
           "misses too: what is no absorption"),
)  # fmt: skip


TRUTH_TABLES = (TRUTH_FEATURES, TRUTH_DEPTHS, TRUTH_ABSORPTION)


@checked
def ground_truth(
    sae: SparseAutoencoder,
    source: SyntheticForest | SyntheticSource,
    *,
    n_rows: int = 20_000,
    seed: int = 0,
    force: bool = False,
) -> Result:
    """Tables ``truth_features``, ``truth_depths`` and ``truth_absorption``, on rows drawn anew from a known forest.

    `seed`: of the rows. Raises `MismatchError` when the SAE was trained on another source (with `force`, warns) or
    another width, and `EvaluationError` when not one latent fires.
    """
    require(n_rows > 0, "n_rows", n_rows, "at least one row")
    forest = source.forest if isinstance(source, SyntheticSource) else source
    if isinstance(source, SyntheticSource) and sae.source is not None:
        require_same_source(sae.source, source.specs["rows"], what="the SAE and the forest", force=force)
    if forest.d_in != sae.d_in:
        raise MismatchError(f"the SAE reads d_in = {sae.d_in} numbers, the forest's rows have {forest.d_in}")
    fires, truly_fires = [], []
    with evaluating(sae), torch.no_grad():
        for start in range(0, n_rows, BLOCK_ROWS):
            size = min(BLOCK_ROWS, n_rows - start)
            x, codes = forest.sample(size, seed=seed, stream=f"ground-truth/{start}")
            truly_fires.append(codes > 0)
            fires.append(sae.encode(x.to(sae.device, sae.dtype)).dense().cpu() > 0)
    return against_truth(
        sae.W_dec.detach().cpu(),
        sae.level_of.cpu(),
        torch.cat(fires),
        forest.directions,
        torch.cat(truly_fires),
        forest.parent,
    )


def against_truth(
    W_dec: Float[Tensor, "latent d_in"],
    level_of: Int[Tensor, " latent"],
    fires: Bool[Tensor, "rows latent"],
    directions: Float[Tensor, "feature d_in"],
    truly_fires: Bool[Tensor, "rows feature"],
    parent: Int[Tensor, " feature"],
) -> Result:
    """The same tables for any features with directions, true firing and a tree (`parent[i]`: −1 for a root; a parent
    comes before its children). `EvaluationError` when not one latent fires."""
    if not fires.any():
        raise EvaluationError(f"not one latent fires on the {len(fires)} rows given: there is nothing to compare")
    matching = match_features(W_dec, directions)
    f1 = f1_scores(fires, truly_fires)
    best_f1, stands_for = f1.max(dim=1)
    stands_for = torch.where(best_f1 > 0, stands_for, -1)
    features = _features(matching.latent, matching.cosine, level_of, fires, truly_fires, parent, f1, stands_for)
    absorption = _absorption(matching.latent, fires, truly_fires, parent)
    depths = _depths(features, absorption)
    everything = {name: values[-1] for name, values in depths.items()}
    summary: dict[str, Figure] = {
        **{name: value for name, value in everything.items() if name != "depth"},
        "n_rows": len(fires),
        "live_latents": int(fires.any(0).sum()),
    }
    n_latents = np.array(features["n_latents"], dtype=np.int64)
    flat = np.array([latent for own in features["latents"] for latent in own], dtype=np.int64)
    return Result(
        tables={
            "truth_features": make_table(
                TRUTH_FEATURES,
                {**features, "latents": lists(flat, n_latents, pa.int32())},
                summary,
            ),
            "truth_depths": make_table(TRUTH_DEPTHS, depths),
            "truth_absorption": make_table(TRUTH_ABSORPTION, absorption),
        },
        summary=summary,
    )


def _features(
    latent: Tensor,
    cosine: Tensor,
    level_of: Tensor,
    fires: Tensor,
    truly_fires: Tensor,
    parent: Tensor,
    f1: Tensor,
    stands_for: Tensor,
) -> dict[str, list]:
    columns: dict[str, list] = {column.name: [] for column in TRUTH_FEATURES.columns}
    depth = _depth(parent.tolist())
    for feature in range(len(parent)):
        rows = truly_fires[:, feature].nonzero()[:, 0].numpy()
        mine = (stands_for == feature).nonzero()[:, 0].tolist()
        shared = partition(rows, [fires[:, j].nonzero()[:, 0].numpy() for j in mine]) if len(rows) else None
        own = int(latent[feature])
        counted = len(rows) > 0
        values = {
            "feature": feature,
            "parent": int(parent[feature]) if parent[feature] >= 0 else None,
            "depth": depth[feature],
            "status": _status(len(rows)),
            "n_rows": len(rows),
            "latent": own if own >= 0 else None,
            "latent_level": int(level_of[own]) if own >= 0 else None,
            "cosine": float(cosine[feature]),
            "recovered": bool(cosine[feature] > RECOVERED_ABOVE),
            "f1": (float(f1[own, feature]) if own >= 0 else 0.0) if counted else None,
            "best_f1": float(f1[:, feature].max()) if counted else None,
            "n_latents": len(mine),
            "latents": mine,
            **{name: getattr(shared, name) if shared else None for name in ("coverage", "overlap", "entropy")},
        }
        for name, value in values.items():
            columns[name].append(value)
    return columns


def _absorption(latent: Tensor, fires: Tensor, truly_fires: Tensor, parent: Tensor) -> dict[str, list]:
    columns: dict[str, list] = {column.name: [] for column in TRUTH_ABSORPTION.columns}
    detected = fires[:, latent.clamp_min(0)] & (latent >= 0)
    for child in (parent >= 0).nonzero()[:, 0].tolist():
        above = int(parent[child])
        both = truly_fires[:, child] & truly_fires[:, above]
        silent = both & ~detected[:, above]
        alone = truly_fires[:, above] & ~truly_fires[:, parent == above].any(1)
        n_child, n_alone, absorbed = int(both.sum()), int(alone.sum()), int((silent & detected[:, child]).sum())
        values = {
            "parent": above,
            "child": child,
            "parent_latent": int(latent[above]) if latent[above] >= 0 else None,
            "child_latent": int(latent[child]) if latent[child] >= 0 else None,
            "status": _status(n_child),
            "n_child": n_child,
            "silent": int(silent.sum()),
            "absorbed": absorbed,
            "rate": absorbed / n_child if n_child else None,
            "missed_anyway": int((alone & ~detected[:, above]).sum()) / n_alone if n_alone else None,
        }
        for name, value in values.items():
            columns[name].append(value)
    return columns


def _depths(features: dict[str, list], absorption: dict[str, list]) -> dict[str, list]:
    columns: dict[str, list] = {column.name: [] for column in TRUTH_DEPTHS.columns}
    depth = np.array(features["depth"])
    fire = np.array(features["n_rows"]) > 0
    n_latents = np.array(features["n_latents"])
    rates = list(zip(absorption["parent"], absorption["rate"], strict=True))
    for which in [*range(depth.max() + 1), -1]:
        here = np.full(len(depth), True) if which < 0 else depth == which
        counted = np.flatnonzero(here & fire)
        standing = int(n_latents[here].sum())
        absorbed = [rate for above, rate in rates if here[above] and rate is not None]
        values = {
            "depth": which,
            "features": int(here.sum()),
            "fire": len(counted),
            "mcc": mean([features["cosine"][i] for i in counted]),
            "recovered": sum(features["recovered"][i] for i in np.flatnonzero(here)),
            "f1": mean([features["f1"][i] for i in counted]),
            "best_f1": mean([features["best_f1"][i] for i in counted]),
            "uniqueness": int((n_latents[here] > 0).sum()) / standing if standing else None,
            "split": int((n_latents[here] > 1).sum()),
            "absorbed": mean(absorbed),
        }
        for name, value in values.items():
            columns[name].append(value)
    return columns


def _depth(parent: Sequence[int]) -> list[int]:
    out: list[int] = []
    for above in parent:
        out.append(0 if above < 0 else out[above] + 1)
    return out


def _status(n_rows: int) -> str:
    return Status.NEVER if n_rows == 0 else Status.FEW if n_rows < MIN_ROWS else Status.OK
