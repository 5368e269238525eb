"""How well an SAE has found features that are known: synthetic data, or any data with true codes.

Latents are matched to features one to one, by the Hungarian assignment that maximises Σ cos(W_dec row, direction). The
cosine has its sign: codes are never negative, so a latent that points the other way can't stand for the feature.
*Silence* is the mark of feature absorption: a latent that stands for a parent, and stays silent where a child fires
although the parent fires there too (Chanin et al. 2024, arXiv:2409.14507).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from msae.core.errors import EvaluationError


@dataclass(frozen=True, kw_only=True)
class Matching:
    """One latent for each feature. `latent` is −1 and `cosine` 0 for features left over (more features than latents).

    `cosine` is that of the feature's direction and its latent's decoder row, −1 to 1.
    """

    latent: Int[Tensor, " feature"]
    cosine: Float[Tensor, " feature"]


@dataclass(frozen=True, kw_only=True)
class ParentSilence:
    """How often the latents matched to parents stay silent although their feature fires.

    `on_children`: over all (parent, row) pairs where the parent and one of its children fire, the fraction where the
    parent's latent is silent. `without_children`: the same where the parent fires and none of its children does.
    `per_parent[p]`: `on_children` of the feature `parents[p]` alone; None where its children never fired.
    """

    on_children: float
    without_children: float | None
    parents: tuple[int, ...]
    per_parent: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """Figures against known features.

    `mean_cosine`: mean over features of the signed cosine in the matching. `f1`: mean over latents of the F1 against
    the best feature (a latent that never fires has 0). `uniqueness`: distinct best features ÷ latents that fire.
    `dead`: latents that never fire. `parent_silence`: None when no feature has a parent.
    """

    mean_cosine: float
    f1: float
    uniqueness: float
    dead: int
    l0: float
    parent_silence: ParentSilence | None


def recovery(
    W_dec: Float[Tensor, "latent d_in"],
    codes: Float[Tensor, "rows latent"],
    directions: Float[Tensor, "feature d_in"],
    true_codes: Float[Tensor, "rows feature"],
    parent: Int[Tensor, " feature"],
) -> Recovery:
    """Every figure of an SAE whose codes on some rows are `codes`, where the true codes are `true_codes`.

    `parent[i]` is the feature above feature i, −1 for a root. Raises `EvaluationError` when nothing ever fires.
    """
    fires, truly_fires = codes > 0, true_codes > 0
    if not fires.any() or not truly_fires.any():
        raise EvaluationError(f"nothing fires on the {codes.shape[0]} rows given: there is nothing to compare")
    matching = match_features(W_dec, directions)
    f1 = f1_scores(fires, truly_fires)
    alive = fires.any(0)
    best, best_feature = f1.max(dim=1)
    has_parent = bool((parent >= 0).any())
    return Recovery(
        mean_cosine=matching.cosine.mean().item(),
        f1=best.mean().item(),
        uniqueness=best_feature[alive].unique().numel() / int(alive.sum()),
        dead=int((~alive).sum()),
        l0=fires.sum().item() / fires.shape[0],
        parent_silence=parent_silence(fires, truly_fires, parent, matching.latent) if has_parent else None,
    )


def match_features(W_dec: Float[Tensor, "latent d_in"], directions: Float[Tensor, "feature d_in"]) -> Matching:
    """The one-to-one assignment of latents to features with the largest Σ cos."""
    latents = torch.nn.functional.normalize(W_dec.detach().double(), dim=1)
    features = torch.nn.functional.normalize(directions.double(), dim=1)
    cosines = (features @ latents.T).cpu()
    feature, latent = (torch.from_numpy(index) for index in linear_sum_assignment(cosines.numpy(), maximize=True))
    matched = torch.full((features.shape[0],), -1)
    cosine = torch.zeros(features.shape[0], dtype=torch.float64)
    matched[feature] = latent
    cosine[feature] = cosines[feature, latent]
    return Matching(latent=matched, cosine=cosine)


def f1_scores(
    fires: Bool[Tensor, "rows latent"], truly_fires: Bool[Tensor, "rows feature"]
) -> Float[Tensor, "latent feature"]:
    """F1 of every latent as a detector of every feature: 2 · both / (latent fires + feature fires); 0 where neither."""
    both = fires.float().T @ truly_fires.float()
    total = fires.sum(0)[:, None] + truly_fires.sum(0)
    return 2 * both / total.clamp_min(1)


def parent_silence(
    fires: Bool[Tensor, "rows latent"],
    truly_fires: Bool[Tensor, "rows feature"],
    parent: Int[Tensor, " feature"],
    latent_of: Int[Tensor, " feature"],
) -> ParentSilence:
    """How often `latent_of[p]` is silent on rows where the parent p fires; a feature with no latent is always silent.

    Raises `EvaluationError` when no child fires together with its parent on the rows given.
    """
    parents = parent[parent >= 0].unique()
    silent = ~_fires_of(fires, latent_of[parents])
    parent_fires = truly_fires[:, parents]
    child_fires = torch.stack([truly_fires[:, parent == p].any(1) for p in parents], dim=1)
    with_child, childless = parent_fires & child_fires, parent_fires & ~child_fires
    if not with_child.any():
        raise EvaluationError(f"no child fires on the {fires.shape[0]} rows given: give more rows")
    cases = with_child.sum(0)
    missed = (silent & with_child).sum(0)
    return ParentSilence(
        on_children=(missed.sum() / cases.sum()).item(),
        without_children=((silent & childless).sum() / childless.sum()).item() if childless.any() else None,
        parents=tuple(parents.tolist()),
        per_parent=tuple(m / n if n else None for m, n in zip(missed.tolist(), cases.tolist(), strict=True)),
    )


def _fires_of(fires: Bool[Tensor, "rows latent"], latents: Int[Tensor, " chosen"]) -> Bool[Tensor, "rows chosen"]:
    return fires[:, latents.clamp_min(0)] & (latents >= 0)
