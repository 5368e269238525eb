from __future__ import annotations

import pytest
import torch

from msae.activations.synthetic import SyntheticForest
from msae.analysis.truth.recovery import f1_scores, match_features, parent_silence, recovery
from msae.core.errors import EvaluationError

FOREST = SyntheticForest(d_in=12, n_roots=3, root_rate=0.3, branching=(2,), child_rate=0.7)


def fires_of(columns: list[list[int]]) -> torch.Tensor:
    """One list a latent (or feature): on which of the rows it fires."""
    return torch.tensor(columns, dtype=torch.bool).T


def test_the_truth_itself_scores_full_marks():
    _, codes = FOREST.sample(500, seed=0)
    order = torch.randperm(FOREST.n_features, generator=torch.Generator().manual_seed(0))
    found = recovery(2 * FOREST.directions[order], codes[:, order], FOREST.directions, codes, FOREST.parent)
    assert found.mean_cosine == pytest.approx(1)
    assert found.f1 == found.uniqueness == 1
    assert found.dead == 0
    assert found.l0 == pytest.approx((codes > 0).sum().item() / 500)
    silence = found.parent_silence
    assert silence.on_children == silence.without_children == 0
    assert silence.parents == (0, 1, 2)
    assert silence.per_parent == (0, 0, 0)


def test_an_absorbed_parent_is_silent_on_its_children_and_nowhere_else():
    _, codes = FOREST.sample(500, seed=0)
    absorbed = codes.clone()
    children = (FOREST.parent == 0).nonzero()[:, 0]
    absorbed[:, 0] *= (codes[:, children] == 0).all(1)
    silence = recovery(FOREST.directions, absorbed, FOREST.directions, codes, FOREST.parent).parent_silence
    cases = [(codes[:, FOREST.parent == parent] > 0).any(1).sum().item() for parent in range(3)]
    assert silence.per_parent == (1, 0, 0)
    assert silence.on_children == pytest.approx(cases[0] / sum(cases))
    assert silence.without_children == 0


def test_matching_is_one_to_one_and_the_best_in_total():
    # Latent 0 is the better match for both features; the best total gives it to the second.
    W_dec = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    directions = torch.tensor([[1.0, 0.2], [0.0, 1.0]])
    matching = match_features(W_dec, directions)
    assert matching.latent.tolist() == [1, 0]
    assert matching.cosine.tolist() == pytest.approx([1 / 1.04**0.5, 0.5**0.5])


def test_a_latent_that_points_the_other_way_has_recovered_nothing():
    (one,) = torch.eye(3)[:1]
    assert match_features(-one[None], one[None]).cosine.tolist() == [-1]
    # Where there is a latent along the feature as well, that is the one.
    assert match_features(torch.stack([-one, 0.1 * one]), one[None]).latent.tolist() == [1]
    directions = torch.eye(4)
    turned = directions * torch.tensor([[-1.0], [1], [1], [1]])
    assert match_features(directions, turned).cosine.tolist().count(1) == 2, "two are left, and turned away or across"


def test_more_features_than_latents():
    matching = match_features(torch.eye(3)[:1], torch.eye(3))
    assert matching.latent.tolist() == [0, -1, -1]
    assert matching.cosine.tolist() == [1, 0, 0]
    # The parent that got no latent is silent wherever a child fires.
    truth = fires_of([[0, 0, 0], [1, 1, 0], [1, 0, 0]])
    silence = parent_silence(fires_of([[1, 1, 1]]), truth, torch.tensor([-1, -1, 1]), matching.latent)
    assert silence.on_children == silence.without_children == 1


def test_f1_by_hand():
    # The latent fires on rows 0, 1, 2; the features on 1, 2, 3, on 0 alone, and never.
    f1 = f1_scores(fires_of([[1, 1, 1, 0], [0, 0, 0, 0]]), fires_of([[0, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]]))
    assert f1.tolist() == [pytest.approx([2 / 3, 1 / 2, 0]), [0, 0, 0]]


def test_uniqueness_and_the_dead_by_hand():
    truth = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    # Latents 0 and 1 both detect feature 0, latent 2 never fires.
    codes = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    found = recovery(torch.eye(3), codes, torch.eye(3)[:2], truth, torch.tensor([-1, -1]))
    assert found.uniqueness == 1 / 2
    assert found.dead == 1
    assert found.f1 == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert found.parent_silence is None


def test_refusals():
    with pytest.raises(EvaluationError, match="nothing fires"):
        recovery(torch.eye(2), torch.zeros(4, 2), torch.eye(2), torch.ones(4, 2), torch.tensor([-1, 0]))
    with pytest.raises(EvaluationError, match="no child fires"):
        parent_silence(fires_of([[1, 1]]), fires_of([[1, 1], [0, 0]]), torch.tensor([-1, 0]), torch.tensor([0, -1]))
