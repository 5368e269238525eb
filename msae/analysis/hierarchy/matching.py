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
from msae.analysis.sample import CodeTable
from msae.analysis.sample.collected import pair_cosines
from msae.analysis.sample.pairs import among_the_first, count_together, phi_of
from msae.analysis.tables import WORD, Column, Status, TableSpec, make_table, words
from msae.core.config import require
from msae.core.means import mean

BLOCK_NUMBERS = 1 << 24
MIN_TOKENS = 20
BY_BOTH, BY_COSINE, BY_FIRING = "both", "cosine", "co-firing"

LATENT_PAIRS = TableSpec(
    "level_pairs",
    "two latents of different groups that are near in direction or in firing",
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
    Column(
        "matched",
        WORD,
        f"'{BY_BOTH}', '{BY_COSINE}' or '{BY_FIRING}': each the other's nearest by it, and above chance; null: not "
        "matched",
    ),
)  # fmt: skip


OVERLAP = (
    Column(
        "status",
        WORD,
        f"'{Status.OK}'; '{Status.FEW}': no latent of one fires often enough to be matched by firing; "
        f"'{Status.NEVER}': one is silent",
    ),
    Column("live", pa.int32(), "latents of a that fire"),
    Column("matched", pa.int32(), "of these, matched in b: by direction, by co-firing or by both"),
    Column("by_both", pa.int32(), "of these, matched by both"),
    Column("share", pa.float32(), "matched / live; null where none is live", digits=3),
    Column(
        "mean_cosine", pa.float32(), "mean cosine with the nearest direction of b; null where there is none", digits=3
    ),
    Column("mean_phi", pa.float32(), "mean phi with the best partner in b; null where there is none", digits=3),
    Column("least_cosine", pa.float32(), "the cosine above which a match by direction counts", digits=3),
    Column(
        "least_phi", pa.float32(), "the phi above which a match by co-firing counts; null where none could be", digits=3
    ),
)
"""Of two groups a and b: the latents of one looked for in the other."""


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


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Latents that are near one another. `pairs`: table of `LATENT_PAIRS`; `a`, `b`: its latents, numbered through.

    `least_cosine`, `least_phi`: above which a match counts. The phi is None where no latent fires often enough to be
    matched by firing.
    """

    pairs: pa.Table
    a: Int[np.ndarray, " pairs"]
    b: Int[np.ndarray, " pairs"]
    least_cosine: float
    least_phi: float | None


def match_latents(
    codes: CodeTable,
    shifted: CodeTable,
    directions: Float[Tensor, "latents d_in"],
    groups: Groups,
    *,
    nearest: int = 3,
    min_tokens: int = MIN_TOKENS,
) -> Matches:
    """Every live latent with its `nearest` by either measure in every other group, and which of these are matched.

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
    together, cosine = _together(codes, a, b), pair_cosines(directions, a, b)
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
    return Matches(
        pairs=make_table(LATENT_PAIRS, columns, kept), a=a, b=b, least_cosine=least_cosine, least_phi=least_phi
    )


def overlap(matches: Matches, codes: CodeTable, group: Int[np.ndarray, " latents"], min_tokens: int) -> list[dict]:
    """Rows of `OVERLAP` with the numbers a and b: one an ordered pair of groups, of a's live latents how many
    are matched in b."""
    pairs = matches.pairs
    columns = {name: pairs[name].to_numpy() for name in ("latent_a", "latent_b", "cosine", "phi")}
    columns |= {
        f"{kind}_of_{side}": pairs[f"{kind}_of_{side}"].to_numpy() for kind in ("nearest", "partner") for side in "ab"
    }
    matched = np.array(pairs["matched"].cast(pa.string()).to_pylist(), dtype=object)
    is_matched = np.array([kind is not None for kind in matched], dtype=bool)
    n_groups = int(group.max()) + 1
    live, often = (np.bincount(group[codes.counts >= least], minlength=n_groups) for least in (1, min_tokens))
    group_a, group_b = group[matches.a], group[matches.b]
    rows = []
    for a in range(n_groups):
        for b in (other for other in range(n_groups) if other != a):
            side, here = "a", (group_a == a) & (group_b == b)
            if a > b:
                side, here = "b", (group_a == b) & (group_b == a)
            n_matched = len(np.unique(columns[f"latent_{side}"][here & is_matched]))
            silent = not (live[a] and live[b])
            rows.append(
                {
                    "a": a,
                    "b": b,
                    "status": Status.NEVER if silent else Status.OK if often[a] and often[b] else Status.FEW,
                    "live": int(live[a]),
                    "matched": n_matched,
                    "by_both": int((matched[here] == BY_BOTH).sum()),
                    "share": n_matched / int(live[a]) if live[a] else None,
                    "mean_cosine": mean(columns["cosine"][here & columns[f"nearest_of_{side}"]]),
                    "mean_phi": mean(columns["phi"][here & columns[f"partner_of_{side}"]]),
                    "least_cosine": matches.least_cosine,
                    "least_phi": matches.least_phi,
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


def _best(a: np.ndarray, b: np.ndarray, strength: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Whether b is the strongest that a has in b's group."""
    return among_the_first(a, group[b], strength, 1)


def _joined(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    a, b = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return a, b
