import itertools
import math

import pytest
import torch

from msae.activations.harvest import harvest
from msae.activations.source import ActivationSource
from msae.activations.synthetic import SyntheticForest, SyntheticSource
from msae.core.config import from_dict, to_dict
from msae.core.errors import ConfigError
from msae.data.documents import Document

FOREST = SyntheticForest(d_in=24, n_roots=4, root_rate=(0.4, 0.2, 0.1, 0.05), branching=(3, 2), child_rate=0.8)
N = 40_000


@pytest.fixture(scope="module")
def fires():
    return FOREST.sample(N, seed=5)[1] > 0


def test_the_tree_by_hand():
    small = SyntheticForest(d_in=4, n_roots=2, branching=(2, 1), root_rate=0.5, child_rate=0.5)
    assert small.n_features == 2 + 4 + 4
    assert small.parent.tolist() == [-1, -1, 0, 0, 1, 1, 2, 3, 4, 5]
    assert small.depth.tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert small.firing_rate.tolist() == [0.5] * 2 + [0.125] * 4 + [0.0625] * 4
    assert small.ancestors(9) == (5, 1)
    assert small.ancestors(1) == ()


def test_roots_alone():
    roots = SyntheticForest(n_roots=3, branching=())
    assert roots.parent.tolist() == [-1, -1, -1]
    assert roots.sample(10, seed=0)[1].shape == (10, 3)


def test_rates_are_within_binomial_bounds(fires):
    rate = FOREST.firing_rate.double()
    deviation = (fires.double().mean(dim=0) - rate).abs() / (rate * (1 - rate) / N).sqrt()
    assert deviation.max() < 4.5  # P < 3e-4 that any of 40 features is further off


def test_a_child_never_fires_without_its_parent(fires):
    for feature in range(FOREST.n_features):
        for ancestor in FOREST.ancestors(feature):
            assert not (fires[:, feature] & ~fires[:, ancestor]).any()


def test_siblings_exclude_one_another(fires):
    for mine, other in itertools.combinations(range(FOREST.n_roots, FOREST.n_features), 2):
        if FOREST.parent[mine] == FOREST.parent[other]:
            assert not (fires[:, mine] & fires[:, other]).any()


def test_roots_are_independent(fires):
    for mine, other in itertools.combinations(range(FOREST.n_roots), 2):
        both = float(FOREST.firing_rate[mine] * FOREST.firing_rate[other])
        found = (fires[:, mine] & fires[:, other]).double().mean().item()
        assert abs(found - both) < 4.5 * math.sqrt(both * (1 - both) / N)


def test_rows_are_the_sum_of_directions_times_codes():
    rows, codes = FOREST.sample(100, seed=1)
    torch.testing.assert_close(rows, codes @ FOREST.directions)
    assert (codes >= 0).all()
    torch.testing.assert_close(FOREST.directions.norm(dim=1), torch.ones(FOREST.n_features))


def test_noise_has_the_size_asked_for():
    noisy = SyntheticForest(d_in=50, n_roots=2, noise_std=0.3)
    rows, codes = noisy.sample(2000, seed=0)
    assert (rows - codes @ noisy.directions).std().item() == pytest.approx(0.3, rel=0.02)


def test_magnitudes_have_the_spread_asked_for():
    codes = SyntheticForest(n_roots=2, root_rate=1.0, branching=(), magnitude_std=0.2).sample(20_000, seed=0)[1]
    assert codes.mean().item() == pytest.approx(1, abs=0.01)
    assert codes.std().item() == pytest.approx(0.2, rel=0.02)


def test_heavy_tailed_magnitudes_have_their_floor_mean_and_spread():
    forest = SyntheticForest(n_roots=2, root_rate=1.0, branching=(), magnitude_tail=0.7)
    codes = forest.sample(40_000, seed=0)[1]
    assert codes.min().item() == pytest.approx(0.3, abs=1e-3)
    assert codes.mean().item() == pytest.approx(1, abs=0.02) and codes.std().item() == pytest.approx(0.7, rel=0.03)
    with pytest.raises(ConfigError, match="magnitude_tail"):
        SyntheticForest(magnitude_tail=1.5)


def test_token_types_tell_the_root_and_nothing_of_what_is_below_it():
    forest = SyntheticForest(n_roots=4, root_rate=0.2, branching=(2,), child_rate=0.5)
    _, codes = forest.sample(40_000, seed=1)
    types = forest.token_types(codes, per_root=3, seed=1)
    assert torch.equal(types, forest.token_types(codes, per_root=3, seed=1))
    last = torch.where(codes[:, :4] > 0, torch.arange(4), -1).amax(1)
    assert torch.equal(types // 3, torch.where(last < 0, 4, last))
    child = codes[:, 4 + 2 * 3] > 0  # the first child of the last root, which has types 9, 10, 11
    rates = [float(child[types == kind].double().mean()) for kind in (9, 10, 11)]
    assert rates == pytest.approx([0.25] * 3, abs=0.03)


def test_seeds_decide_everything():
    again = from_dict(SyntheticForest, to_dict(FOREST))
    assert again == FOREST
    assert torch.equal(again.sample(50, seed=5)[0], FOREST.sample(50, seed=5)[0])
    assert not torch.equal(FOREST.sample(50, seed=6)[0], FOREST.sample(50, seed=5)[0])
    other = SyntheticForest(d_in=24, n_roots=4, branching=(3, 2), seed=1)
    assert (other.directions * FOREST.directions).sum(dim=1).abs().max() < 0.9


def test_the_first_numbers_are_not_those_of_a_plain_seed():
    plain = torch.randn(FOREST.n_features, FOREST.d_in, generator=torch.Generator().manual_seed(0))
    assert ((plain / plain.norm(dim=1, keepdim=True)) * FOREST.directions).sum(dim=1).abs().max() < 0.95


def test_batches_go_on_where_they_stood():
    whole = list(itertools.islice(FOREST.batches(8, seed=3), 6))
    rest = list(itertools.islice(FOREST.batches(8, seed=3, start=4), 2))
    assert torch.equal(torch.stack(whole[4:]), torch.stack(rest))
    assert not torch.equal(whole[0], whole[1])
    assert whole[0].shape == (8, 24)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("d_in", 0),
        ("n_roots", 0),
        ("root_rate", 0.0),
        ("root_rate", (0.1, 0.2)),
        ("root_rate", 1.5),
        ("branching", (2, 0)),
        ("child_rate", 0.0),
        ("magnitude_std", -1.0),
        ("noise_std", -1.0),
    ],
)
def test_what_makes_no_sense_is_named(field, value):
    with pytest.raises(ConfigError, match=field):
        SyntheticForest(**{field: value})


def test_as_a_source_it_can_be_harvested(tmp_path):
    source = SyntheticSource(forest=FOREST, context_size=10, batch_size=4)
    assert isinstance(source, ActivationSource)
    documents = [Document(f"draw {index}", "") for index in range(30)]
    store = harvest(source, documents, n_tokens=200, path=tmp_path / "store", dtype="float32", progress=False)
    assert store.spec.kind == "synthetic"
    tokens = store.tokens(0, 200)
    for row in (0, 57, 199):
        rows, codes = source._rows(int(tokens.document[row]))
        assert torch.equal(store.rows(row, row + 1)[0], rows[tokens.offset[row]])
        fires = (codes[tokens.offset[row]] > 0).nonzero().squeeze(1).tolist()
        assert tokens.token_id[row] == (fires[-1] if fires else FOREST.n_features)
