from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pyarrow as pa
import pytest
import torch

from msae.activations.store import RowTokens
from msae.activations.synthetic import SyntheticForest
from msae.analysis.all_measurements import Tree
from msae.analysis.features.collection import collect
from msae.analysis.hierarchy.edges import find_edges, implications, null_edges, share_in_order
from msae.analysis.sample import ArrayRows
from msae.analysis.truth.edge_scores import edge_scores
from msae.core.errors import ConfigError, EvaluationError


def random_firing(seed: int, n_rows: int, rates: list[float]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n_rows, len(rates), generator=generator) < torch.tensor(rates)


def test_every_figure_of_an_edge_by_hand(from_codes, build):
    # 200 tokens. The parent fires on 40 with activation 1, the child on 20 with activation 2, 18 of them the parent's.
    codes = torch.zeros(200, 2)
    codes[:40, 0] = 1
    codes[22:42, 1] = 2
    result = Tree().run(from_codes(build.mixed(codes), (1, 2)))
    (edge,) = result.tables["tree"].to_pylist()
    assert (edge["parent"], edge["child"], edge["parent_level"], edge["child_level"]) == (0, 1, 0, 1)
    assert (edge["n_parent"], edge["n_child"], edge["together"]) == (40, 20, 18)
    assert edge["p_parent_given_child"] == pytest.approx(18 / 20)
    assert edge["p_child_given_parent"] == pytest.approx(18 / 40)
    assert edge["strength"] == pytest.approx(18 / 20 - 22 / 180)
    assert edge["lift"] == pytest.approx(18 / (40 * 20 / 200))
    assert edge["decoder_cosine"] == 0
    assert edge["activation_correlation"] is None  # neither varies
    # The rows are reconstructed exactly, so the child removes all the error there is without it.
    assert edge["gain"] == pytest.approx(1)


def test_gain_of_a_child_that_explains_half(build):
    # On the child's tokens x = (1, 3, 3): p explains the first, c (along the second) 9 of the other 18.
    x = torch.zeros(300, 3)
    x[:60, 0] = 1
    x[:30, 1:] = 3
    x = build.mixed(x)
    sae = build.sae_of([[1, 0, 0], [0, 1, 0]], [[1, 0, 0], [0, 1, 0]], (1, 2))
    (edge,) = Tree().run(collect(sae, build.in_documents(x))).tables["tree"].to_pylist()
    assert edge["gain"] == pytest.approx(1 / 2)


def test_the_correlation_of_activations_is_what_it_is_and_nothing_by_chance(from_codes):
    # Latents 1 and 2 fire on the same 400 of the 1,000 tokens of latent 0, all with wide activations: 1 as it does,
    # 2 at random. The cosine, given before, is .9 for both.
    generator = torch.Generator().manual_seed(0)
    codes = torch.zeros(4000, 3)
    strength = 1 + torch.rand(1000, generator=generator)
    codes[:1000, 0], codes[:400, 1] = strength, 2 * strength[:400]
    codes[:400, 2] = 1 + torch.rand(400, generator=generator)
    codes = codes[torch.randperm(4000, generator=generator)]
    rows = Tree().run(from_codes(codes, (1, 3))).tables["tree"].to_pylist()
    found = {row["child"]: row["activation_correlation"] for row in rows}
    assert found[1] == pytest.approx(1) and abs(found[2]) < 0.12


def test_an_edge_that_the_tokens_alone_make_is_told_from_one_of_context(build):
    # Tokens 0 to 9 in turn. Latent 0 fires on all of tokens 0 and 1, latent 1 on all of token 0: tokens alone.
    # Latent 2 fires on every other token 5, latent 3 on half of those: it never fires without 2, and the token gives ½.
    row = torch.arange(4000)
    token, turn = row % 10, row // 10
    codes = torch.zeros(4000, 4)
    codes[:, 0], codes[:, 1] = ((token < 2), (token == 0))
    codes[:, 2], codes[:, 3] = (token == 5) & (turn % 2 == 0), (token == 5) & (turn % 4 == 0)
    sae = build.sae_of(torch.eye(4)[[0, 2, 1, 3]], torch.eye(4)[[0, 2, 1, 3]], (2, 4))
    tokens = RowTokens(token_id=token, document=row // 50, offset=row % 50)
    result = Tree().run(collect(sae, ArrayRows(codes, tokens)))
    by_token = {(edge["parent"], edge["child"]): edge["p_by_token"] for edge in result.tables["tree"].to_pylist()}
    assert by_token == {(0, 2): 1.0, (1, 3): 0.5}
    assert result.summary["edges"] == 2 and result.summary["edges_by_token_alone"] == 1


def test_only_later_bands_hold_children_and_all_parents_are_kept(from_codes, build):
    # 0 ⊃ 1 ⊃ 2 (one band each), and 3, in the last band, equals 2.
    codes = torch.zeros(400, 4)
    codes[:100, 0] = codes[:60, 1] = codes[:30, 2] = codes[:30, 3] = 1
    collected = from_codes(build.mixed(codes), (1, 2, 4))
    edges = find_edges(collected, 0.8)
    assert set(zip(edges.parent.tolist(), edges.child.tolist(), strict=True)) == {
        (0, 1), (0, 2), (0, 3), (1, 2), (1, 3)
    }  # fmt: skip
    # 2 and 3 imply one another; nothing else does so against the order of the bands.
    assert implications(collected.pairs, collected.codes, 0.8) == 7


def test_a_parent_that_fires_nearly_always_is_no_parent(from_codes):
    codes = random_firing(0, 6000, [0.95, *[0.05] * 20]).float()
    collected = from_codes(codes, (1, 21))
    together = (codes[:, :1] * codes[:, 1:]).sum(0) / codes[:, 1:].sum(0)
    assert (together > 0.8).all() and len(find_edges(collected, 0.8)) == 0


def test_the_forest_is_found_and_its_shifted_codes_have_next_to_no_edges(forest):
    result = Tree().run(forest.collected)
    scores = edge_scores(result.tables["tree"], forest.sae, forest.forest.directions, forest.forest.parent)
    assert scores.recovered == 48 and scores.pairs == 32
    assert scores.precision == scores.recall == scores.recall_in_order == 1
    assert result.summary["edges"] == 32
    assert result.summary["edges_by_chance"] <= 0.05 * 32
    assert result.summary["edges_in_random_order"] == pytest.approx(32 * 16 * 32 / (48 * 47))


def test_shifted_codes_of_bursty_latents_have_few_edges(from_codes):
    """Latents that fire in long runs seem to share tokens; each run counted token by token looks significant."""
    generator = np.random.default_rng(0)
    starts = torch.from_numpy(generator.random((8000, 30)) < 0.004).float()
    codes = torch.nn.functional.max_pool1d(starts.T[None], 9, 1, 4)[0].T
    codes[:, 15:] *= codes[:, :15]  # later latents fire only inside the bursts of earlier ones
    collected = from_codes(codes, (15, 30), length=400)
    assert len(null_edges(collected, 0.8)) <= 0.05 * max(1, len(find_edges(collected, 0.8)))


def test_latents_that_fill_whole_documents_are_no_edges(from_codes):
    """Where a child fills documents that its parent fills, a shift changes nothing: chance gives as much."""
    codes = torch.zeros(800, 2)
    codes[:200, 0] = codes[:100, 1] = 1
    collected = from_codes(codes, (1, 2))
    assert collected.pairs.n_significant == 0 and len(find_edges(collected, 0.8)) == 0


def test_one_level_has_no_tree(flat_forest):
    result = Tree().run(flat_forest.collected)
    assert result.tables["tree"].num_rows == 0
    assert result.summary["edges"] == 0 and result.summary["false_discovery_rate"] is None


def test_a_lower_bound_than_was_kept_is_refused(forest):
    with pytest.raises(ConfigError, match=r"conditional = 0\.2.*PairSettings\(conditional=0\.2\)"):
        Tree(conditional=0.2).run(forest.collected)
    with pytest.raises(ConfigError, match="conditional"):
        Tree(conditional=0.0)


def test_share_in_order_is_that_of_all_orders():
    level = np.array([0, 0, 1, 2, 2])
    pairs = [(a, b) for a, b in itertools.permutations(level, 2)]
    assert share_in_order(level) == pytest.approx(np.mean([a < b for a, b in pairs]))
    assert share_in_order(np.zeros(4, int)) == 0


class TestScores:
    @pytest.fixture
    def known(self, build):
        # 0 → 1 → 2 and 3 alone, latents in that order, bands {0}, {1, 3}, {2}… as numbered: 0 | 1 2 | 3.
        forest = SyntheticForest(d_in=4, n_roots=2, branching=(1,), seed=3)
        forest.__dict__["directions"] = torch.eye(4)
        return forest, build.sae_of(torch.eye(4), torch.eye(4), (1, 3, 4))

    def test_by_hand(self, known):
        forest, sae = known
        # Roots 0, 1; children 2 (of 0) and 3 (of 1): both pairs are in order. One is found, and one edge is wrong.
        tree = pa.table({"parent": [0, 0], "child": [2, 3]})
        scores = edge_scores(tree, sae, forest.directions, forest.parent)
        assert dataclasses.asdict(scores) == {
            "precision": 0.5, "recall": 0.5, "recall_in_order": 0.5, "recovered": 4, "features": 4, "edges": 2,
            "pairs": 2, "inverted": 0, "same_band": 0,
        }  # fmt: skip

    def test_an_inverted_pair_and_a_grandparent(self, build):
        # A chain 0 → 1 → 2 whose middle sits in the innermost band.
        sae = build.sae_of(torch.eye(3)[[1, 0, 2]], torch.eye(3), (1, 2, 3))
        parent = torch.tensor([-1, 0, 1])
        tree = pa.table({"parent": [0, 1], "child": [2, 2]})  # 1 → 2 and the grandparent 0 → 2
        scores = edge_scores(tree, sae, torch.eye(3), parent)
        assert (scores.precision, scores.recall, scores.recall_in_order) == (1, 2 / 3, 1)
        assert (scores.pairs, scores.inverted) == (3, 1)

    def test_nothing_recovered(self, build):
        sae = build.sae_of(torch.eye(2), torch.eye(2), (1, 2))
        with pytest.raises(EvaluationError, match="not one of 1 features"):
            edge_scores(pa.table({"parent": [], "child": []}), sae, torch.ones(1, 2), torch.tensor([-1]))
