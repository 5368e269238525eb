"""Which latents of one SAE, or level, are which of another: by their directions, and by firing on the same tokens.

Two latents of different groups (levels of one SAE, or SAEs on the same rows) are *matched* by a measure when each is
the other's nearest by it, and nearer than chance has it: above the 99.9th percentile of

    cosine     directions whose coordinates along the principal axes are dealt out anew (`cosine_null`)
    co-firing  phi, Pearson's correlation of firing, of the best partners among shifted codes

Latents that never fire are left out; those that fire on fewer than `min_tokens` rows are not matched by co-firing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.analysis.hierarchy.cosine_null import cosine_null
from msae.analysis.sample.code_table import CodeTable
from msae.analysis.sample.pairs import among_the_first, count_together, phi_of
from msae.analysis.tables import FEW, NEVER, OK, WORD, Column, about, make_table, words
from msae.core.config import require
from msae.core.means import mean

BLOCK_NUMBERS = 1 << 24
MIN_TOKENS = 20
BY_BOTH, BY_COSINE, BY_FIRING = "both", "cosine", "co-firing"

LATENT_PAIRS = (
    Column("sae_a", WORD, "name of one SAE"),
    Column("level_a", pa.int16(), "level whose band latent_a is in"),
    Column("latent_a", pa.int32(), "number of the latent in it"),
    Column("sae_b", WORD, "name of the other (the same, where levels of one SAE are compared)"),
    Column("level_b", pa.int16(), "level whose band latent_b is in"),
    Column("latent_b", pa.int32(), "number of the latent in it"),
    Column("cosine", pa.float32(), "cosine of the decoder directions"),
    Column("n_a", pa.int64(), "tokens on which latent_a fires"),
    Column("n_b", pa.int64(), "tokens on which latent_b fires"),
    Column("together", pa.int64(), "tokens on which both fire"),
    Column("p_a_given_b", pa.float32(), "together / n_b"),
    Column("p_b_given_a", pa.float32(), "together / n_a"),
    Column("phi", pa.float32(), "Pearson's correlation of firing"),
    Column("nearest_of_a", pa.bool_(), "of b's group, b's direction is the nearest to a's"),
    Column("nearest_of_b", pa.bool_(), "of a's group, a's direction is the nearest to b's"),
    Column("partner_of_a", pa.bool_(), "of b's group, b has the largest phi with a"),
    Column("partner_of_b", pa.bool_(), "of a's group, a has the largest phi with b"),
    Column("matched", WORD, f"'{BY_BOTH}', '{BY_COSINE}' or '{BY_FIRING}': each the other's nearest by it, and above "
           "chance; null: not matched"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Latents numbered through, in groups that are compared: for each its group, and its SAE, level and number there.

    `names`: of the SAEs. Groups are numbered from 0, SAEs too.
    """

    group: Int[np.ndarray, " latents"]
    sae: Int[np.ndarray, " latents"]
    level: Int[np.ndarray, " latents"]
    latent: Int[np.ndarray, " latents"]
    names: tuple[str, ...]


def latent_pairs(
    codes: CodeTable,
    shifted: CodeTable,
    directions: Float[Tensor, "latents d_in"],
    groups: Groups,
    *,
    nearest: int = 3,
    min_tokens: int = MIN_TOKENS,
) -> pa.Table:
    """Table of `LATENT_PAIRS`: for every live latent its `nearest` by either measure in every other group.

    `shifted`: the same codes shifted, the null. `directions`: unit rows. A pair is listed once, a in the earlier group.
    """
    require(nearest >= 1, "nearest", nearest, "at least one")
    alive = np.flatnonzero(codes.counts)
    a, b = (np.concatenate(parts) for parts in zip(
        _nearest(directions, alive, groups.group, nearest), _partners(codes, groups.group, nearest, min_tokens)[:2],
        strict=True))  # fmt: skip
    swap = groups.group[a] > groups.group[b]
    a, b = np.where(swap, b, a), np.where(swap, a, b)
    pair = np.unique(a.astype(np.int64) * codes.d_sae + b)
    a, b = pair // codes.d_sae, pair % codes.d_sae
    together, cosine = _together(codes, a, b), _cosine(directions, a, b)
    phi = phi_of(together, codes.counts[a], codes.counts[b], codes.n_rows)
    least_cosine = cosine_null(directions[torch.from_numpy(alive)], 0.999)
    by_chance = _partners(shifted, groups.group, 1, min_tokens)[2]
    least_phi = float(np.quantile(by_chance, 0.999)) if len(by_chance) else None
    often = (codes.counts[a] >= min_tokens) & (codes.counts[b] >= min_tokens)
    of_a, of_b = _best(a, b, cosine, groups.group), _best(b, a, cosine, groups.group)
    with_a, with_b = (_best(*both, np.where(often, phi, -1.0), groups.group) & often for both in ((a, b), (b, a)))
    near, together_often = of_a & of_b & (cosine > least_cosine), with_a & with_b & (phi > (least_phi or 0.0))
    matched = np.select([near & together_often, near, together_often], [0, 1, 2], default=-1)
    columns: dict[str, Any] = {
        **{f"sae_{x}": words(groups.names, groups.sae[of]) for x, of in (("a", a), ("b", b))},
        **{f"level_{x}": groups.level[of] for x, of in (("a", a), ("b", b))},
        **{f"latent_{x}": groups.latent[of] for x, of in (("a", a), ("b", b))},
        "cosine": cosine,
        "n_a": codes.counts[a],
        "n_b": codes.counts[b],
        "together": together,
        "p_a_given_b": together / codes.counts[b],
        "p_b_given_a": together / codes.counts[a],
        "phi": phi,
        "nearest_of_a": of_a,
        "nearest_of_b": of_b,
        "partner_of_a": with_a,
        "partner_of_b": with_b,
        "matched": words([BY_BOTH, BY_COSINE, BY_FIRING], matched),
    }
    kept = {"n_tokens": codes.n_rows, "least_cosine": least_cosine, "least_phi": least_phi}
    return make_table(
        LATENT_PAIRS, columns, kept, row="two latents of different groups that are near in direction or in firing"
    )


def chance(pairs: pa.Table) -> dict[str, float | None]:
    """``least_cosine`` and ``least_phi``, above which a match counts: the 99.9th percentiles of the nulls. The phi is
    None where no latent fires often enough to be matched by firing."""
    kept = about(pairs)
    return {name: None if kept[name] == "None" else float(kept[name]) for name in ("least_cosine", "least_phi")}


def overlap(
    pairs: pa.Table,
    group_a: Int[np.ndarray, " pairs"],
    group_b: Int[np.ndarray, " pairs"],
    live: Sequence[int],
    often: Sequence[int],
) -> list[dict[str, Any]]:
    """One row an ordered pair of groups (a, b): of a's live latents, how many are matched in b, and how near b comes.

    `pairs`: of `latent_pairs`; `group_a`, `group_b`: the groups of its latents, `live`: latents of each group
    that fire, `often`: that fire on enough tokens to be matched by firing. Columns: a, b, live, matched, by_both, share
    (null where none is live), mean_cosine and mean_phi (of the nearest and of the best partner; null where there is
    none), status ('ok'; 'too few tokens': no latent of a, or none of b, fires often enough; 'never fires': a or b is
    silent).
    """
    columns = {name: pairs[name].to_numpy() for name in ("latent_a", "latent_b", "cosine", "phi")}
    columns |= {
        f"{kind}_of_{side}": pairs[f"{kind}_of_{side}"].to_numpy() for kind in ("nearest", "partner") for side in "ab"
    }
    matched = np.array(pairs["matched"].cast(pa.string()).to_pylist(), dtype=object)
    rows = []
    for a in range(len(live)):
        for b in (other for other in range(len(live)) if other != a):
            side, here = "a", (group_a == a) & (group_b == b)
            if a > b:
                side, here = "b", (group_a == b) & (group_b == a)
            found = here & np.array([text is not None for text in matched], dtype=bool)
            n_matched = len(np.unique(columns[f"latent_{side}"][found]))
            rows.append(
                {
                    "a": a,
                    "b": b,
                    "live": live[a],
                    "matched": n_matched,
                    "by_both": int((matched[here] == BY_BOTH).sum()),
                    "share": n_matched / live[a] if live[a] else None,
                    "mean_cosine": mean(columns["cosine"][here & columns[f"nearest_of_{side}"]]),
                    "mean_phi": mean(columns["phi"][here & columns[f"partner_of_{side}"]]),
                    "status": NEVER if not (live[a] and live[b]) else OK if often[a] and often[b] else FEW,
                }
            )
    return rows


def _nearest(
    directions: Tensor, alive: Int[np.ndarray, " n"], group: Int[np.ndarray, " latents"], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Every live latent with the `count` nearest live ones of every other group. At most 2²⁴ cosines are held."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for g in np.unique(group):
        theirs = alive[group[alive] == g]
        others = alive[group[alive] != g]
        if len(theirs) == 0:
            continue
        size = max(1, BLOCK_NUMBERS // len(theirs))
        for mine in (others[first : first + size] for first in range(0, len(others), size)):
            cosines = directions[torch.from_numpy(mine)] @ directions[torch.from_numpy(theirs)].T
            best = cosines.topk(min(count, len(theirs)), dim=1).indices.numpy()
            found.append((np.repeat(mine, best.shape[1]), theirs[best].ravel()))
    return _joined(found)


def _partners(
    codes: CodeTable, group: Int[np.ndarray, " latents"], count: int, min_tokens: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every latent with the `count` of every other group that have the largest phi with it, and that phi."""
    often = codes.counts >= min_tokens
    found, strengths = [], []
    for latents, counts in count_together(codes):
        a = np.repeat(np.arange(latents.start, latents.stop), np.diff(counts.indptr))
        b, together = counts.indices.astype(np.int64), counts.data.astype(np.int64)
        keep = often[a] & often[b] & (group[a] != group[b])
        a, b, together = a[keep], b[keep], together[keep]
        phi = phi_of(together, codes.counts[a], codes.counts[b], codes.n_rows)
        first = among_the_first(a - latents.start, group[b], phi, count)
        found.append((a[first], b[first]))
        strengths.append(phi[first])
    return (*_joined(found), np.concatenate(strengths) if strengths else np.empty(0))


def _together(codes: CodeTable, a: np.ndarray, b: np.ndarray) -> Int[np.ndarray, " pairs"]:
    """On how many rows both of each pair fire; pairs in the order of a."""
    out = np.zeros(len(a), dtype=np.int64)
    for latents, counts in count_together(codes):
        here = slice(*np.searchsorted(a, [latents.start, latents.stop]))
        out[here] = np.asarray(counts[a[here] - latents.start, b[here]]).ravel() if here.start < here.stop else 0
    return out


def _cosine(directions: Tensor, a: np.ndarray, b: np.ndarray) -> Float[np.ndarray, " pairs"]:
    chunks = (slice(first, first + (1 << 14)) for first in range(0, len(a), 1 << 14))
    parts = [
        torch.linalg.vecdot(directions[torch.from_numpy(a[part])], directions[torch.from_numpy(b[part])])
        for part in chunks
    ]
    return torch.cat(parts).numpy() if parts else np.empty(0, np.float32)


def _best(a: np.ndarray, b: np.ndarray, strength: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Whether b is the strongest that a has in b's group."""
    return among_the_first(a, group[b], strength, 1)


def _joined(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    a, b = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return a, b
