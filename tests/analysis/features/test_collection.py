from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from msae.activations.store import RowTokens
from msae.analysis.features import CollectSettings, ExampleSettings
from msae.analysis.features.collection import collect
from msae.analysis.features.logits import direct_logits
from msae.analysis.sample import ArrayRows, CodeTable, PairSettings, TokenText, encode
from msae.analysis.sample.pairs import find_pairs
from msae.analysis.tables import Status, meanings, read_table, write_tables
from msae.core.errors import CheckpointError, ConfigError, EvaluationError, MismatchError
from msae.sae import BatchTopK, JumpReLU, ReLU, SparseAutoencoder, SparseCodes, TopK, Unnested
from tests.kinds_of_tokenizers import KEPT


@pytest.fixture(scope="module")
def collected(small):
    return collect(small.sae, small.rows)


def identity_sae(d: int, threshold: float = 0.0) -> SparseAutoencoder:
    """Latent j is coordinate j."""
    sae = SparseAutoencoder(d, d, BatchTopK(k=d), Unnested())
    with torch.no_grad():
        sae.W_dec.copy_(torch.eye(d))
        sae.W_enc.copy_(torch.eye(d))
        sae.threshold.fill_(threshold)
    return sae.eval()


def rows_in_one_document(x: torch.Tensor, token_id: list[int] | None = None) -> ArrayRows:
    n = len(x)
    ids = torch.arange(n) if token_id is None else torch.tensor(token_id)
    return ArrayRows(x, RowTokens(token_id=ids, document=torch.zeros(n, dtype=torch.long), offset=torch.arange(n)))


def test_the_codes_are_those_of_the_sae(small, collected):
    assert torch.allclose(collected.codes.sparse(0, 2048).dense(), small.sae.encode_dense(small.x), atol=1e-5)


@pytest.mark.parametrize(
    "activation_fn",
    [TopK(k=5), BatchTopK(k=5), JumpReLU(l0=5), ReLU(l1_coefficient=0.1)],
    ids=lambda fn: type(fn).__name__,
)
@pytest.mark.parametrize("uniform", [True, False])
def test_every_activation_function_is_encoded_as_the_sae_does(small, activation_fn, uniform, monkeypatch):
    monkeypatch.setattr(encode, "READ_ROWS", 128)
    monkeypatch.setattr(encode, "BLOCK_NUMBERS", 4096)
    sae = SparseAutoencoder(64, 80, activation_fn, seed=4)
    with torch.no_grad():
        sae.threshold.fill_(0.3)
        sae.b_dec.fill_(0.01)
        if not uniform:
            sae.threshold[::3] = -0.1
    table = encode.encode_all(sae.eval(), small.rows, 300)
    assert len(table) > 0
    assert torch.allclose(table.sparse(0, 300).dense(), sae.encode_dense(small.x[:300]), atol=1e-5)


def test_every_table_says_what_its_columns_mean_and_survives_the_disk(collected, tmp_path):
    assert set(collected.tables) == {"features", "histograms", "bands", "examples", "pairs", "neighbours"}
    write_tables(collected.tables, tmp_path)
    for name, table in collected.tables.items():
        assert all(meanings(table).values()), name
        again = read_table(tmp_path / f"{name}.parquet")
        assert again.equals(table) and meanings(again) == meanings(table)
        again.to_pandas()


def test_features_are_the_statistics_of_the_codes(small, collected):
    dense = collected.codes.sparse(0, 2048).dense().double().numpy()
    features = collected.tables["features"].to_pydict()
    for latent in range(small.sae.d_sae):
        fired = dense[dense[:, latent] > 0, latent]
        assert features["n_tokens"][latent] == len(fired)
        assert features["density"][latent] == len(fired) / 2048
        assert features["mean"][latent] == pytest.approx(fired.mean(), rel=1e-5)
        assert features["max"][latent] == pytest.approx(fired.max())
        for name, q in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9)):
            assert features[name][latent] == pytest.approx(np.quantile(fired, q), rel=1e-5)
    assert features["level"] == small.sae.level_of.tolist()


def test_top_tokens_by_hand():
    x = torch.tensor([[1.0], [2.0], [0.0], [5.0], [2.0]])
    features = collect(identity_sae(1), rows_in_one_document(x, [7, 3, 9, 7, 4])).tables["features"].to_pydict()
    assert features["top_token_ids"] == [[7, 3, 4]]
    assert features["top_token_shares"][0] == pytest.approx([0.6, 0.2, 0.2])


def test_the_histogram_counts_every_activation_once():
    x = torch.tensor([[1.0], [2.0], [2.5], [4.0], [0.0]])
    table = collect(identity_sae(1), rows_in_one_document(x), settings=CollectSettings(n_bins=4)).tables["histograms"]
    # (0, 1], (1, 2], (2, 3], (3, 4]
    assert table.to_pydict() == {"latent": [0], "max": [4.0], "counts": [[1, 1, 1, 1]]}


def test_silence_and_too_few_tokens_are_said():
    x = torch.zeros(60, 3)
    x[:30, 0] = 1
    x[:5, 1] = 1
    table = collect(identity_sae(3), rows_in_one_document(x)).tables["features"].to_pydict()
    assert table["status"] == [Status.OK, Status.FEW, Status.NEVER]
    assert table["mean"] == [1, 1, None] and table["p10"][2] is None
    assert table["top_token_ids"][2] == []


def test_quantile_bands_hold_equal_numbers_whatever_the_values_are():
    # Activations 2⁰ … 2⁹: ten equal slices of the range would put seven of them into the first.
    x = torch.tensor([[2.0**n] for n in range(10)])
    settings = CollectSettings(examples=ExampleSettings(top=2, bands=5, per_band=2, reach=1))
    table = collect(identity_sae(1), rows_in_one_document(x), settings=settings).tables["examples"].to_pydict()
    bands = list(zip(table["band"], table["value"], table["rank"], strict=True))
    assert bands[:2] == [(-1, 512.0, 0), (-1, 256.0, 1)]
    expected = [(band, 2.0 ** (2 * band + up), 9 - 2 * band - up) for band in (4, 3, 2, 1, 0) for up in (1, 0)]
    assert bands[2:] == expected


def test_bands_say_from_where_to_where_they_reach(collected):
    bands = collected.tables["bands"].to_pylist()
    for latent in np.flatnonzero(collected.codes.counts).tolist():
        values = np.sort(collected.codes.values_of(latent))
        mine = [row for row in bands if row["latent"] == latent]
        assert sum(row["n"] for row in mine) == len(values)
        assert sum(row["share"] for row in mine) == pytest.approx(1)
        for row in mine:
            first, stop = len(values) * row["band"] // 5, len(values) * (row["band"] + 1) // 5
            assert (row["low"], row["high"], row["n"]) == (values[first], values[stop - 1], stop - first)


def test_examples_of_a_band_are_spread_over_its_ranks(collected):
    table = collected.tables["examples"].to_pandas()
    counts = collected.codes.counts
    for latent in (0, 9, 30):
        for band in range(5):
            low, high = counts[latent] * band // 5, counts[latent] * (band + 1) // 5
            rising = counts[latent] - 1 - table[(table.latent == latent) & (table.band == band)]["rank"]
            assert len(rising) == 4 and rising.is_unique and rising.between(low, high - 1).all()
            assert rising.max() - rising.min() >= (high - low) // 2


def test_contexts_stay_in_their_document_and_carry_the_latents_own_values(small, collected):
    dense = collected.codes.sparse(0, 2048).dense().numpy()
    tokens = small.rows.tokens(0, 2048)
    for example in collected.tables["examples"].to_pylist()[::37]:
        row, latent, position = example["row"], example["latent"], example["position"]
        begin, end = row - position, row - position + len(example["context_ids"])
        assert begin == max(row // 64 * 64, row - 16) and end == min(row // 64 * 64 + 64, row + 17)
        assert example["context_ids"] == tokens.token_id[begin:end].tolist()
        assert np.allclose(example["context_values"], dense[begin:end, latent])
        assert example["context_values"][position] == pytest.approx(example["value"])
        assert (example["document"], example["offset"]) == (str(row // 64), row % 64)


def test_a_gap_in_a_document_ends_the_context():
    x = torch.ones(6, 1)
    tokens = RowTokens(
        token_id=torch.arange(6), document=torch.zeros(6, dtype=torch.long), offset=torch.tensor([0, 1, 2, 9, 10, 11])
    )
    table = collect(identity_sae(1), ArrayRows(x, tokens)).tables["examples"].to_pandas()
    assert {tuple(ids) for ids in table.context_ids} == {(0, 1, 2), (3, 4, 5)}


def test_pairs_are_counted_within_bands_and_across(small, collected):
    fires = (collected.codes.sparse(0, 2048).dense() > 0).long()
    together = (fires.T @ fires).numpy()
    pairs = collected.tables["pairs"].to_pydict()
    for i in range(len(pairs["a"])):
        a, b = pairs["a"][i], pairs["b"][i]
        assert a < b and pairs["together"][i] == together[a, b]
        assert pairs["p_a_given_b"][i] == pytest.approx(together[a, b] / together[b, b])
        assert pairs["p_b_given_a"][i] == pytest.approx(together[a, b] / together[a, a])
        expected = together[a, a] * together[b, b] / 2048
        assert pairs["lift"][i] == pytest.approx(together[a, b] / expected)
        assert pairs["phi"][i] == pytest.approx(np.corrcoef(fires[:, a], fires[:, b])[0, 1], abs=1e-5)
    # Every feature and each of its ancestors are among them.
    found = set(zip(pairs["a"], pairs["b"], strict=True))
    ancestry = {(up, f) for f in range(small.forest.n_features) for up in small.forest.ancestors(f)}
    frequent = {(up, f) for up, f in ancestry if together[f, f] >= 20}
    assert len(frequent) > 70 and frequent <= found


def test_pruned_pairs_are_the_weakest():
    generator = torch.Generator().manual_seed(3)
    common = torch.rand(4000, 1, generator=generator) < 0.2
    dense = ((torch.rand(4000, 12, generator=generator) < 0.15) | (common & (torch.arange(12) < 8))).float()
    codes, level_of = CodeTable.of(SparseCodes.from_dense(dense)), np.repeat([0, 1], 6)
    whole = find_pairs(codes, level_of, PairSettings(partners=12))
    few = find_pairs(codes, level_of, PairSettings(partners=1, conditional=1.0))
    phi = np.full((12, 12), -1.0)
    phi[whole.a, whole.b] = phi[whole.b, whole.a] = whole.phi
    best = {
        tuple(sorted((a, 6 * level + int(phi[a, 6 * level : 6 * level + 6].argmax()))))
        for a in range(12)
        for level in (0, 1)
        if phi[a, 6 * level : 6 * level + 6].max() > -1
    }
    assert set(zip(few.a.tolist(), few.b.tolist(), strict=True)) == best
    assert few.n_tests == whole.n_tests == 66 and few.n_significant == whole.n_significant


def test_neighbours_are_the_nearest_of_their_kind(small, collected):
    directions = small.forest.directions
    cosines = (directions @ directions.T).fill_diagonal_(-2)
    table = collected.tables["neighbours"].to_pandas()
    level = small.sae.level_of
    for latent in (0, 10, 40):
        for same in (True, False):
            allowed = cosines[latent].masked_fill((level == level[latent]) != same, -2)
            n = min(8, int((allowed > -2).sum()))
            found = table[(table.latent == latent) & (table.same_level == same)]
            assert found.cosine.tolist() == pytest.approx(allowed.topk(n).values.tolist(), abs=1e-5)
            assert found.neighbour.tolist() == allowed.topk(n).indices.tolist()
            assert found["rank"].tolist() == list(range(n))


def test_columns_of_no_token_are_no_logits():
    """A model's unembedding has columns up to a round number; a tokenizer's ids may have gaps."""
    tokenizer = KEPT["byte level"][0]()
    text = TokenText(tokenizer)
    text.known[17] = False  # a gap
    U = torch.zeros(1, len(text) + 40)
    U[0, len(text) :] = 5.0  # never trained, and larger than any
    U[0, 17], U[0, 30], U[0, 31] = 9.0, 2.0, -2.0
    tokens, spread = direct_logits(torch.ones(1, 1), U, 3, text)
    assert tokens["token_id"][0] == 30 and tokens["token_id"][3] == 31
    assert not {17, *range(len(text), len(text) + 40)} & set(tokens["token_id"].tolist())
    assert tokens["token"][0].as_py() == text.texts[30] and tokens["logit"][0] == 2.0
    assert sum(spread["counts"].to_pylist()[0]) == len(text) - 1
    without_text, _ = direct_logits(torch.ones(1, 1), U, 1)
    assert without_text["token_id"][0] == 17


def test_logits_through_an_unembedding():
    U = torch.tensor([[1.0, 5.0, -3.0, 1.0], [0.0, 1.0, 1.0, 2.0]])
    sae = identity_sae(2)
    x = torch.ones(30, 2)
    tables = collect(sae, rows_in_one_document(x), unembedding=U, settings=CollectSettings(logits=1)).tables
    assert tables["logits"].select(["latent", "side", "token_id", "logit"]).to_pylist() == [
        {"latent": 0, "side": "top", "token_id": 1, "logit": 4.0},
        {"latent": 0, "side": "bottom", "token_id": 2, "logit": -4.0},
        {"latent": 1, "side": "top", "token_id": 3, "logit": 1.0},
        {"latent": 1, "side": "bottom", "token_id": 0, "logit": -1.0},
    ]
    # Latent 1's logits are -1, 0, 0, 1: in 40 bins over [-1, 1] the zeros lie at 20.
    spread = tables["logit_histograms"].to_pylist()[1]
    assert (spread["low"], spread["high"]) == (-1.0, 1.0)
    assert {place: count for place, count in enumerate(spread["counts"]) if count} == {0: 1, 20: 2, 39: 1}
    with pytest.raises(MismatchError, match="residual stream"):
        collect(sae, rows_in_one_document(x), unembedding=U.T)


def test_refusals(small):
    with pytest.raises(ConfigError, match="n_tokens"):
        collect(small.sae, small.rows, n_tokens=0)
    with pytest.raises(MismatchError, match="64 numbers, the rows have 8"):
        collect(small.sae, ArrayRows(torch.ones(4, 8)))
    with pytest.raises(EvaluationError, match="not one latent fires"):
        collect(identity_sae(2, threshold=9.0), ArrayRows(torch.ones(4, 2)))
    with pytest.raises(EvaluationError, match="NaN"):
        collect(identity_sae(2), ArrayRows(torch.tensor([[1.0, torch.nan]])))
    with pytest.raises(CheckpointError, match="no threshold yet"):
        collect(SparseAutoencoder(2, 2, BatchTopK(k=1)), ArrayRows(torch.ones(4, 2)))
    with pytest.raises(ConfigError, match="conditional"):
        PairSettings(conditional=1.5)


def test_the_mode_of_the_sae_is_left_as_it_was(small):
    small.sae.train()
    try:
        collect(small.sae, small.rows, n_tokens=64)
        assert small.sae.training
    finally:
        small.sae.eval()


def test_columns_without_a_tokenizer_are_null(collected):
    assert collected.tables["examples"]["token"].null_count == collected.tables["examples"].num_rows
    assert collected.tables["features"].schema.field("top_tokens").type == pa.list_(pa.string())
