"""Searching by level: exact search is brute force, a shortlist of everything too, and builds go on after a kill."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from msae.core.errors import CheckpointError, ConfigError, CorpusError, EvaluationError, MismatchError
from msae.core.spec import SourceSpec
from msae.nested import HeadConfig, IndependentHeads, PcaPrefix, RawPrefix, SaeCodes, train_independent_heads
from msae.nested.index import Index
from msae.nested.index_sources import indexed_documents, indexed_rows, indexed_store, text_rows
from msae.nested.retrieval_plan import SearchPlan
from msae.nested.retrieval_scores import average_precision, discounted_gain, ranking_scores, recall_of

pytest.importorskip("faiss", reason="needs the extra retrieval: pip install faiss-cpu")


def items_of(rows):
    return [(f"item {i}", f"text {i}") for i in range(len(rows))]


def given(rows):
    return indexed_rows(rows, items_of(rows))


def brute_force(code, rows, queries, level, k):
    a, b = (code.transform(x, level) for x in (queries, rows))
    cosines = torch.nn.functional.normalize(a, dim=1) @ torch.nn.functional.normalize(b, dim=1).T
    return cosines.topk(k, dim=1)


def test_exact_search_is_brute_force_at_every_level(code, rows, tmp_path):
    index = Index.build(tmp_path / "index", code, given(rows), part_items=20)
    assert index.levels == ([0, 1, 2] if code.prefixes else [2]) and len(index) == len(rows)
    queries = rows[:7] + 0.1
    for level in index.levels:
        found, scores = index.search(queries, SearchPlan.exact(level, 5))
        expected = brute_force(code, rows, queries, level, 5)
        np.testing.assert_allclose(scores, expected.values, atol=1e-5)
        gathered = brute_force(code, rows, queries, level, len(rows))
        by_item = torch.zeros_like(gathered.values).scatter(1, gathered.indices, gathered.values)
        np.testing.assert_allclose(by_item.gather(1, torch.from_numpy(found.astype(np.int64))), scores, atol=1e-5)
    again = Index.open(tmp_path / "index")
    np.testing.assert_array_equal(again.search(queries)[0], index.search(queries)[0])
    assert again.named == items_of(rows)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_a_shortlist_of_everything_is_exact_search(kind, rows, sae, tmp_path):
    code = PcaPrefix.fit(rows, (2, 4, 8)) if kind == "dense" else SaeCodes.of(sae, rows)
    index = Index.build(tmp_path / "index", code, given(rows))
    exact = index.search(rows[:9], SearchPlan.exact(2, 5))
    for plan in (SearchPlan.adaptive(0, 2, shortlist=len(rows), k=5), SearchPlan(((0, 96), (1, 96), (2, 5)))):
        found, scores = index.search(rows[:9], plan)
        np.testing.assert_allclose(scores, exact[1], atol=1e-5)
        assert recall_of(found, exact[0]) > 0.97, "but for ties"


def test_a_shortlist_ranks_only_what_the_first_level_found(rows, tmp_path):
    code = PcaPrefix.fit(rows, (1, 8))
    index = Index.build(tmp_path / "index", code, given(rows))
    first, _ = index.search(rows[:9], SearchPlan.exact(0, 10))
    found, _ = index.search(rows[:9], SearchPlan.adaptive(0, 1, shortlist=10, k=3))
    assert all(set(b.tolist()) <= set(a.tolist()) for a, b in zip(first, found, strict=True))


def test_an_item_finds_itself(code, rows, tmp_path):
    index = Index.build(tmp_path / "index", code, given(rows))
    _, scores = index.search(rows[:20], 1)
    alive = code.transform(rows[:20]).norm(dim=1) > 0
    np.testing.assert_allclose(scores[alive.numpy(), 0], 1, atol=1e-5)


def test_plans_are_what_was_published():
    assert SearchPlan.funnel(5, 10).stages == ((0, 200), (1, 100), (2, 50), (3, 25), (4, 10))
    assert SearchPlan.funnel(3, 60, first=1).stages == ((1, 200), (2, 60))
    assert SearchPlan.adaptive(0, 4, shortlist=200, k=10).stages == ((0, 200), (4, 10))
    assert SearchPlan.adaptive(0, 4, shortlist=5, k=10).k == 10
    for stages in ((), ((1, 10), (0, 5)), ((0, 5), (1, 10)), ((0, 0),)):
        with pytest.raises(ConfigError):
            SearchPlan(stages)


def test_scores_by_hand():
    found = np.array([3, 7, 5, 9])
    # Relevant: 7 at the second place and 9 at the fourth, and one that is not found.
    assert average_precision(found, {7, 9, 1}) == pytest.approx((1 / 2 + 2 / 4) / 3)
    best = 1 + 1 / math.log2(3) + 1 / 2
    assert discounted_gain(found, {7, 9, 1}) == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / best)
    assert average_precision(found, {3, 7, 5, 9}) == discounted_gain(found, {3, 7, 5, 9}) == 1
    scores = ranking_scores(np.array([[1, 2], [3, 4]]), [{1}, set()])
    assert scores == {"map": 1.0, "ndcg": 1.0}
    assert recall_of(np.array([[1, 2, 3]]), np.array([[3, 4, 5]])) == pytest.approx(1 / 3)
    with pytest.raises(EvaluationError, match="nothing|not one"):
        ranking_scores(np.array([[1]]), [set()])


def test_a_ranking_at_random_is_worth_the_share_of_what_is_relevant():
    rng = np.random.default_rng(0)
    found = np.stack([rng.permutation(1000)[:10] for _ in range(2000)])
    relevant = [set(range(50))] * 2000
    assert ranking_scores(found, relevant)["ndcg"] == pytest.approx(0.05, abs=0.005)


class KilledError(Exception):
    pass


def in_blocks(rows, done, *, kill=None):
    """Blocks of seventeen of the rows that are not yet indexed; after `kill` of them an error."""
    items = items_of(rows)
    for number, start in enumerate(range(len(done), len(rows), 17)):
        if number == kill:
            raise KilledError
        yield items[start : start + 17], rows[start : start + 17]


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_a_build_that_was_killed_goes_on(kind, rows, sae, tmp_path):
    code = PcaPrefix.fit(rows, (2, 8)) if kind == "dense" else SaeCodes.of(sae, rows)
    whole = Index.build(tmp_path / "whole", code, given(rows), part_items=16)
    with pytest.raises(KilledError):
        Index.build(tmp_path / "index", code, lambda done: in_blocks(rows, done, kill=3), part_items=16)
    with pytest.raises(CheckpointError, match="was stopped"):
        Index.open(tmp_path / "index")
    with pytest.raises(ConfigError, match="another level"):
        Index.build(tmp_path / "index", code, given(rows), level=0, part_items=16)
    other = PcaPrefix.fit(rows + rows.flip(1), (2, 8)) if kind == "dense" else SaeCodes.of(sae, rows[:50])
    with pytest.raises(ConfigError, match="another code_sha256"):
        Index.build(tmp_path / "index", other, given(rows), part_items=16)
    with pytest.raises(CorpusError, match="'item 0' is there, 'item 95' was given"):
        Index.build(tmp_path / "index", code, indexed_rows(rows, items_of(rows)[::-1]), part_items=16)
    with pytest.raises(CorpusError, match="nothing was given"):
        Index.build(tmp_path / "index", code, given(rows[:5]), part_items=16)
    taken = []

    def rest(done):
        taken.append(len(done))
        return in_blocks(rows, done)

    index = Index.build(tmp_path / "index", code, rest, part_items=16)
    assert taken == [48], "three parts of sixteen were there"
    np.testing.assert_array_equal(index.search(rows)[0], whole.search(rows)[0])
    assert (index.path / "items.safetensors").read_bytes() == (whole.path / "items.safetensors").read_bytes()
    assert sorted(p.name for p in index.path.iterdir()) == ["code", "index.json", "items.json", "items.safetensors"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index", "whole"]
    with pytest.raises(ConfigError, match="finished index"):
        Index.build(tmp_path / "index", code, given(rows))


def test_an_index_of_a_level_knows_no_later_one(rows, tmp_path):
    index = Index.build(tmp_path / "index", PcaPrefix.fit(rows, (2, 4, 8)), given(rows), level=1)
    assert index.levels == [0, 1]
    with pytest.raises(ConfigError, match=r"one of \[0, 1\]"):
        index.search(rows[:1], SearchPlan.exact(2, 5))
    with pytest.raises(ConfigError, match="levels 0 … 2"):
        Index.build(tmp_path / "other", PcaPrefix.fit(rows, (2, 4, 8)), given(rows), level=3)
    assert not (tmp_path / "other").exists()


def test_without_prefixes_there_is_one_level(rows, labels, tmp_path):
    code = train_independent_heads(rows, HeadConfig(widths=(2, 4), n_steps=2), labels=labels)
    assert isinstance(code, IndependentHeads)
    index = Index.build(tmp_path / "index", code, given(rows), level=0)
    assert index.levels == [0]
    np.testing.assert_allclose(
        index.search(rows[:3], SearchPlan.exact(0, 4))[1], brute_force(code, rows, rows[:3], 0, 4).values, atol=1e-5
    )


def test_rows_of_another_source_are_refused(rows, tmp_path):
    code = PcaPrefix.fit(rows, (2,))
    mine, theirs = (SourceSpec(kind="array", model=name, hook_name="rows", d_in=12) for name in ("a", "b"))
    code.source = mine
    with pytest.raises(MismatchError, match="model: 'a' != 'b'"):
        Index.build(tmp_path / "other", code, given(rows), spec=theirs)
    assert not (tmp_path / "other").exists()
    index = Index.build(tmp_path / "index", code, given(rows), spec=mine)
    assert Index.open(index.path).spec == mine
    with pytest.raises(ConfigError, match=r"queries has shape \(96, 5\)"):
        index.search(rows[:, :5])


def test_nothing_to_index_and_damaged_files_are_named(rows, tmp_path):
    code = PcaPrefix.fit(rows, (2,))
    with pytest.raises(CorpusError, match="not one item"):
        Index.build(tmp_path / "none", code, lambda done: iter(()))
    with pytest.raises(ConfigError, match="one a row"):
        indexed_rows(rows, items_of(rows)[1:])
    index = Index.build(tmp_path / "index", code, given(rows))
    (index.path / "items.json").write_text(json.dumps(index.named[:-1]))
    with pytest.raises(CheckpointError, match="96 items and 95 names"):
        Index.open(index.path)
    (index.path / "items.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="cannot be read"):
        Index.open(index.path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is no index"):
        Index.build(tmp_path / "notes", code, given(rows))


def test_rows_of_any_real_dtype_are_indexed_and_looked_for(rows, tmp_path):
    whole = (rows * 8).round()
    expected = Index.build(tmp_path / "floats", RawPrefix(12), given(whole)).search(whole[:5], 3)
    index = Index.build(tmp_path / "numbers", RawPrefix(12), indexed_rows(whole.int().numpy(), items_of(whole)))
    for queries in (whole[:5].half(), whole[:5].double().numpy(), whole[:5].int()):
        np.testing.assert_array_equal(index.search(queries, 3)[0], expected[0])


def test_postings_are_read_for_the_latents_of_a_query_alone(rows, sae, tmp_path):
    index = Index.build(tmp_path / "index", SaeCodes.of(sae, rows), given(rows))
    codes = index.code.transform(rows)
    stored = index.items._lists
    assert stored.nnz == int((codes > 0).sum()) and stored.shape == (8, len(rows))
    for latent in range(8):
        assert set(stored[latent].indices) == set(codes[:, latent].nonzero()[:, 0].tolist())
    silent = -torch.ones(1, 12) * 100
    if float(index.code.transform(silent).abs().sum()) == 0:
        np.testing.assert_array_equal(index.search(silent, 3)[1], 0)


def test_texts_are_found_by_a_store_and_by_documents_alike(tmp_path):
    import msae.demo
    from msae.activations.harvest import harvest
    from msae.activations.pooled import PooledSource
    from msae.activations.transformer_lens import TransformerLensSource
    from msae.data.documents import string_documents

    texts = ["def area(r):", "import os", "class Node:\n    pass", "return x + 1", "for i in range(3):"]
    source = PooledSource(TransformerLensSource(msae.demo.model_path(), layer=3, context_size=32), "last")
    (spec,) = source.specs.values()
    options = {"dtype": "float32", "holdout_tokens": 0, "progress": False}
    store = harvest(source, string_documents(texts), n_tokens=5, path=tmp_path / "store", **options)
    code = PcaPrefix.fit(store, (2, 4))
    documents = string_documents(texts, name="t")
    indices = [
        Index.build(tmp_path / "texts", code, indexed_documents(source, documents), spec=spec),
        Index.build(tmp_path / "rows", code, indexed_store(store), spec=store.spec),
    ]
    assert indices[0].named[2] == ("t[2]", "class Node: pass") and indices[1].named[2] == ("text[2]", "")
    queries = text_rows(source, [texts[3], texts[0]])
    for index in indices:
        found, scores = index.search(queries, SearchPlan.exact(1, 2))
        assert found[:, 0].tolist() == [3, 0]
        np.testing.assert_allclose(scores[:, 0], 1, atol=1e-4)
    with pytest.raises(CorpusError, match="not one token"):
        text_rows(source, [""])
    with pytest.raises(CorpusError, match="longer than a context"):
        text_rows(source, ["x = 1\n" * 50])
