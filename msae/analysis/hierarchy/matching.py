"""Which latents of one SAE, or level, are which of another: by their directions, and by firing on the same tokens.

Two latents of different groups (levels of one SAE, or SAEs on the same rows) are *matched* by a measure when each is
the other's nearest by it, and nearer than the nearest is by chance: above the 99.9th percentile, of the two groups at
hand, of

    cosine     the nearest direction, with coordinates along the principal axes permuted (`direction_null`)
    co-firing  phi, Pearson's correlation of firing, of the best partner among shifted codes

How many matches chance gives then is counted on draws of the nulls (for co-firing, on another draw than gave the
percentile) and is given with the count. Latents that never fire are left out; those that fire on fewer than
`min_tokens` rows are not matched by co-firing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.analysis.hierarchy.direction_null import QUANTILE, nearest_null
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
    Column(
        "expected",
        pa.float32(),
        "matches that chance gives: pairs that are each other's nearest beyond least_cosine in a draw of the null of "
        "directions, and best partners beyond least_phi in another shift of the codes",
        heading="by chance",
        digits=2,
    ),
    Column("by_both", pa.int32(), "of these matched, matched by both"),
    Column("share", pa.float32(), "matched / live; null where none is live", digits=3),
    Column(
        "mean_cosine", pa.float32(), "mean cosine with the nearest direction of b; null where there is none", digits=3
    ),
    Column("mean_phi", pa.float32(), "mean phi with the best partner in b; null where there is none", digits=3),
    Column(
        "least_cosine",
        pa.float32(),
        "the cosine above which a match by direction counts: the 99.9th percentile of the nearest direction of these "
        "two groups, either way, in the null (coordinates along the principal axes permuted among live latents)",
        digits=3,
    ),
    Column(
        "least_phi",
        pa.float32(),
        "the phi above which a match by co-firing counts: the 99.9th percentile of the best partner of these two "
        "groups, either way, with codes shifted; null where no latent of one fires often enough",
        digits=3,
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
class Chance:
    """What chance gives between two groups: above which cosine and phi a match counts (None: there can be none), and
    how many matches are expected then."""

    least_cosine: float | None = None
    least_phi: float | None = None
    expected: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Latents that are near one another. `pairs`: table of `LATENT_PAIRS`; `a`, `b`: its latents, numbered through.
    `chance`: of two groups, the lower first."""

    pairs: pa.Table
    a: Int[np.ndarray, " pairs"]
    b: Int[np.ndarray, " pairs"]
    chance: Mapping[tuple[int, int], Chance]


def match_latents(
    codes: CodeTable,
    shifted: tuple[CodeTable, CodeTable],
    directions: Float[Tensor, "latents d_in"],
    groups: Groups,
    *,
    nearest: int = 3,
    min_tokens: int = MIN_TOKENS,
) -> Matches:
    """Every live latent with its `nearest` by either measure in every other group, and which of these are matched.

    `shifted`: the same codes shifted, twice: the first gives the phi above which a match counts, the second how many
    there are by chance. `directions`: unit rows. A pair is listed once, a in the earlier group.
    """
    require(nearest >= 1, "nearest", nearest, "at least one")
    alive = np.flatnonzero(codes.counts)
    near_a, near_b = _nearest(directions, alive, groups.group, nearest)
    partners = _partners(codes, groups.group, nearest, min_tokens)
    a, b = np.concatenate([near_a, partners.a]), np.concatenate([near_b, partners.b])
    swap = groups.group[a] > groups.group[b]
    a, b = np.where(swap, b, a), np.where(swap, a, b)
    pair = np.unique(a.astype(np.int64) * codes.d_sae + b)
    a, b = pair // codes.d_sae, pair % codes.d_sae
    together, cosine = _together(codes, a, b), pair_cosines(directions, a, b)
    phi = phi_of(together, codes.counts[a], codes.counts[b], codes.n_rows)
    chance = _chance(shifted, directions, groups.group, alive, min_tokens)
    least_cosine, least_phi = (
        _of_pairs({pair: getattr(own, name) for pair, own in chance.items()}, groups.group[a], groups.group[b])
        for name in ("least_cosine", "least_phi")
    )
    often = (codes.counts[a] >= min_tokens) & (codes.counts[b] >= min_tokens)
    of_a, of_b = _best(a, b, cosine, groups.group), _best(b, a, cosine, groups.group)
    with_a, with_b = (_best(*both, np.where(often, phi, -1.0), groups.group) & often for both in ((a, b), (b, a)))
    near, together_often = of_a & of_b & (cosine > least_cosine), with_a & with_b & (phi > least_phi)
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
    return Matches(pairs=make_table(LATENT_PAIRS, columns, {"n_tokens": codes.n_rows}), a=a, b=b, chance=chance)


def _chance(
    shifted: tuple[CodeTable, CodeTable],
    directions: Tensor,
    group: Int[np.ndarray, " latents"],
    alive: Int[np.ndarray, " n"],
    min_tokens: int,
) -> dict[tuple[int, int], Chance]:
    """Of every two groups, the lower first."""
    by_direction = nearest_null(directions[torch.from_numpy(alive)], group[alive])
    first, second = (_partners(codes, group, 1, min_tokens) for codes in shifted)
    out = {}
    for g, h in combinations(range(int(group.max()) + 1), 2):
        near = by_direction.get((g, h))
        phis = [phi for x, y in ((g, h), (h, g)) if len(phi := first.between(group, x, y).phi)]
        least_phi = max(float(np.quantile(phi, QUANTILE)) for phi in phis) if phis else None
        by_firing = 0 if least_phi is None else second.mutual(group, g, h, least_phi)
        out[g, h] = Chance(
            least_cosine=near.least if near else None,
            least_phi=least_phi,
            expected=(near.expected if near else 0.0) + by_firing,
        )
    return out


def _of_pairs(
    least: Mapping[tuple[int, int], float | None], group_a: np.ndarray, group_b: np.ndarray
) -> Float[np.ndarray, " pairs"]:
    """Of each pair what its two groups have; ∞ for None."""
    bounds = np.full((int(group_b.max(initial=0)) + 1,) * 2, np.inf)
    for (g, h), value in least.items():
        if value is not None and h < len(bounds):
            bounds[g, h] = value
    return bounds[group_a, group_b]


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
            chance = matches.chance[min(a, b), max(a, b)]
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
                    "least_cosine": chance.least_cosine,
                    "least_phi": chance.least_phi,
                    "expected": chance.expected,
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


@dataclass(frozen=True, kw_only=True)
class _Partners:
    """Latents a with their best partners b in another group."""

    a: Int[np.ndarray, " n"]
    b: Int[np.ndarray, " n"]
    phi: Float[np.ndarray, " n"]

    def between(self, group: np.ndarray, g: int, h: int) -> _Partners:
        """Those of the latents of g in h."""
        here = (group[self.a] == g) & (group[self.b] == h)
        return _Partners(a=self.a[here], b=self.b[here], phi=self.phi[here])

    def mutual(self, group: np.ndarray, g: int, h: int, least: float) -> int:
        """How many are each other's best partner, with a phi above `least`."""
        there, back = self.between(group, g, h), self.between(group, h, g)
        best = dict(zip(back.a.tolist(), back.b.tolist(), strict=True))
        pairs = zip(there.a.tolist(), there.b.tolist(), (there.phi > least).tolist(), strict=True)
        return sum(above and best.get(b) == a for a, b, above in pairs)


def _partners(codes: CodeTable, group: Int[np.ndarray, " latents"], count: int, min_tokens: int) -> _Partners:
    """Every latent with the `count` of every other group that have the largest phi with it."""
    often = codes.counts >= min_tokens
    found = [_Partners(a=np.empty(0, np.int64), b=np.empty(0, np.int64), phi=np.empty(0))]
    for latents, counts in count_together(codes):
        a = np.repeat(np.arange(latents.start, latents.stop), np.diff(counts.indptr))
        b, together = counts.indices.astype(np.int64), counts.data.astype(np.int64)
        keep = often[a] & often[b] & (group[a] != group[b])
        a, b, together = a[keep], b[keep], together[keep]
        phi = phi_of(together, codes.counts[a], codes.counts[b], codes.n_rows)
        first = among_the_first(a - latents.start, group[b], phi, count)
        found.append(_Partners(a=a[first], b=b[first], phi=phi[first]))
    return _Partners(**{name: np.concatenate([getattr(part, name) for part in found]) for name in ("a", "b", "phi")})


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
