from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from msae.activations.harvest import harvest
from msae.activations.source import rows_kept
from msae.analysis.levels.evaluate import evaluate_levels, evaluate_rows
from msae.core.errors import CheckpointError, ConfigError, EvaluationError, MismatchError
from msae.data.documents import Document, string_documents
from msae.sae import BatchTopK, FixedPrefixes, SparseAutoencoder
from msae.sae.metrics import ev_legacy, fvu

WORDS = string_documents(["abcdefgh", "hgfedcba", "aabbccdd", "gagbgcgd", "a", "fedbachg"])
TEXT = string_documents(["the cat sat on the mat, and the dog ran after the cat", "a mat", "a dog; another dog!"] * 3)


def evaluated(*args, **settings):
    return evaluate_levels(*args, **({"progress": False, "n_tokens": 10_000} | settings))


def rows_of(source, contexts):
    (hook,) = source.specs
    return torch.cat([rows_kept(batch, source.activations(batch)[hook]) for batch in contexts])


def test_two_tokens_by_hand(toys):
    # p(BOS, a, b) is (1, 1, 3)/5 from a, whose activation is +1, and (3, 3, 1)/7 from b, whose activation is −1.
    source = toys.BigramSource(torch.tensor([[5.0], [1.0], [-1.0]]), torch.tensor([[0.0, 0.0, math.log(3)]]))
    table = evaluated(toys.pair_sae(1, (1, 2)), source, string_documents(["aba"]), quantiser_step=1.0)
    inner, outer = table.levels
    clean = (math.log(5 / 3) + math.log(7 / 3)) / 2
    uniform = math.log(3)

    # The inner level knows +1 only: b becomes 0, from which everything is as likely.
    assert (inner.width, outer.width, inner.band_width, outer.band_width) == (1, 2, 1, 1)
    assert inner.fvu == pytest.approx(1 / (8 / 3))
    assert inner.cosine == pytest.approx(2 / 3)
    assert (inner.l0, outer.l0) == (pytest.approx(2 / 3), 1)
    assert inner.ce_clean == pytest.approx(clean)
    assert inner.ce_zero == pytest.approx(uniform)
    assert inner.ce_sae == pytest.approx((math.log(5 / 3) + uniform) / 2)
    assert inner.ce_recovered == pytest.approx((uniform - inner.ce_sae) / (uniform - clean))
    # A guess without context: of the two tokens predicted one is b and one is a. The inner level does worse.
    assert inner.ce_unigram == pytest.approx(math.log(2))
    assert inner.ce_recovered_unigram == pytest.approx((math.log(2) - inner.ce_sae) / (math.log(2) - clean), rel=1e-4)
    assert inner.ce_lost == pytest.approx(inner.ce_sae - clean) and outer.ce_lost == 0
    assert inner.kl == pytest.approx((6 / 7 * math.log(9 / 7) + 1 / 7 * math.log(3 / 7)) / 2)
    # The mean activation is 1/3: p is (1, 1, 3^(1/3)) normalised, of which a → b and b → a count.
    total = 2 + 3 ** (1 / 3)
    assert inner.ce_mean == pytest.approx((math.log(total / 3 ** (1 / 3)) + math.log(total)) / 2)

    assert outer.fvu == outer.kl == 0
    assert outer.cosine == outer.ce_recovered == outer.ce_recovered_mean == 1
    assert outer.ce_sae == outer.ce_clean
    one_in_three = math.log2(3) - 2 / 3
    assert inner.bits == inner.bits_firing == pytest.approx(one_in_three)
    assert outer.bits == pytest.approx(2 * one_in_three)
    assert (inner.fvu_quantised, outer.fvu_quantised) == (inner.fvu, 0)
    assert (inner.dead, inner.dense, outer.dead, outer.dense) == (0, 1, 0, 1)
    assert table.sample.n_tokens == 3
    assert table.sample.n_predictions == 2
    assert table.sample.n_contexts == 1


def test_a_perfect_sae_loses_nothing(toys, gpt2, spoken):
    (row,) = evaluated(toys.pair_sae(24), gpt2(), spoken).levels
    assert row.fvu < 1e-12
    assert row.cosine == pytest.approx(1)
    assert row.l0 == pytest.approx(24)
    assert row.ce_sae == pytest.approx(row.ce_clean, rel=1e-6)
    assert row.ce_recovered == pytest.approx(1, abs=1e-5)
    assert row.kl == pytest.approx(0, abs=1e-9)


def test_an_sae_that_says_nothing_is_the_ablation(toys, gpt2, spoken):
    source = gpt2()
    mean = rows_of(source, spoken).double().mean(0).float()
    (zero,) = evaluated(toys.silent_sae(24), source, spoken).levels
    assert zero.ce_sae == zero.ce_zero
    assert zero.ce_recovered == 0
    assert zero.l0 == zero.bits == 0
    assert (zero.dead, zero.dense) == (48, 0)
    (average,) = evaluated(toys.silent_sae(24, mean), source, spoken).levels
    assert average.fvu == pytest.approx(1)
    assert average.ce_sae == pytest.approx(average.ce_mean, rel=1e-6)
    assert average.ce_recovered_mean == pytest.approx(0, abs=1e-5)
    assert zero.fvu > 1


def test_an_sae_that_knows_how_often_tokens_occur_has_recovered_nothing(toys):
    """Of a model that knows what follows, level 0 keeps how often each token occurs and no more. Against zeros, which
    leave every token as likely, that counts for something; against a unigram it is nothing."""
    text, vocab = ["abacabad", "abadabac", "acadab"] * 4, 5
    source = toys.BigramSource(torch.ones(vocab, 2), torch.zeros(2, vocab))
    batches = list(source.contexts(string_documents(text)))
    follows = torch.zeros(vocab, vocab)
    for batch in batches:
        for before, after in zip(batch.token_ids[0, 1:-1], batch.token_ids[0, 2:], strict=True):
            follows[before, after] += 1
    often = (follows.sum(0) + 1e-9).log()
    source.embedding = torch.cat([torch.ones(vocab, 1), torch.eye(vocab)], 1)
    source.unembedding = torch.cat([often[None], 3 * (follows > 0).float()])
    sae = toys.pair_sae(1 + vocab, (1, 2 * (1 + vocab)))
    table = evaluated(sae, source, string_documents(text), quantiser_step=1e-3)
    first, last = table.levels
    assert first.ce_sae == pytest.approx(first.ce_unigram, abs=1e-5)
    assert first.ce_recovered_unigram == pytest.approx(0, abs=1e-4) and first.ce_recovered > 0.2
    assert last.ce_recovered_unigram == pytest.approx(1) and last.ce_lost == pytest.approx(0, abs=1e-6)
    # A model that knows no more than that itself has nothing to recover, which is said.
    source.unembedding[1:] = 0
    table = evaluated(sae, source, string_documents(text))
    assert table.levels[1].ce_recovered_unigram is None
    assert any("against a unigram is not given" in note for note in table.sample.notes)


def test_the_same_sae_costs_the_same_bits_in_any_unit(toys):
    rows = torch.randn(600, 6, generator=torch.Generator().manual_seed(0))
    sae = toys.random_sae(6, (4, 12))
    bits = []
    for unit in (1.0, 1.1, 1.41, 1000.0):
        scaled = toys.random_sae(6, (4, 12))
        with torch.no_grad():
            scaled.W_dec.copy_(sae.W_dec)
            scaled.W_enc.copy_(sae.W_enc)
            for own, plain in ((scaled.b_dec, sae.b_dec), (scaled.b_enc, sae.b_enc), (scaled.threshold, sae.threshold)):
                own.copy_(unit * plain)
        bits.append([level.bits for level in evaluate_rows(scaled, unit * rows, progress=False).levels])
    for other in bits[1:]:
        assert other == pytest.approx(bits[0], rel=2e-3)


def test_laws_of_levels(toys, gpt2, spoken):
    table = evaluated(toys.random_sae(24, (4, 12, 40)), gpt2(), spoken, quantised_ce=True, quantiser_step=1e-4)
    rows = table.levels
    for row in rows:
        assert row.ev == 1 - row.fvu
        assert row.bits == row.bits_firing + row.bits_values
        assert row.kl > 0
        # At so small a step rounding changes nothing.
        assert row.fvu_quantised == pytest.approx(row.fvu, rel=1e-4)
        assert row.ce_quantised == pytest.approx(row.ce_sae, rel=1e-4)
        assert row.ce_recovered == pytest.approx((row.ce_zero - row.ce_sae) / (row.ce_zero - row.ce_clean))
        assert (row.ce_clean, row.ce_zero, row.ce_mean) == (rows[0].ce_clean, rows[0].ce_zero, rows[0].ce_mean)
    for name in ("width", "l0", "bits", "bits_firing", "bits_values"):
        values = [getattr(row, name) for row in rows]
        assert values == sorted(values), name
    assert sum(row.band_width for row in rows) == 40


def test_each_level_is_what_the_truncated_sae_is(toys, gpt2, spoken):
    sae = toys.random_sae(24, (4, 12, 40))
    table = evaluated(sae, gpt2(), spoken)
    alone = evaluated(sae.truncate(1), gpt2(), spoken).levels[-1]
    inside = table.levels[1]
    for name in ("fvu", "ce_sae", "kl", "l0", "cosine"):
        assert getattr(inside, name) == pytest.approx(getattr(alone, name), rel=1e-5), name


def test_reconstruction_figures_are_those_of_the_rows(toys, gpt2):
    source, sae = gpt2(batch_size=100), toys.random_sae(24, (4, 40))
    rows = rows_of(source, source.contexts(TEXT))
    with torch.no_grad():
        levels = sae.reconstruct_levels(rows)
    for figures, reconstruction in zip(evaluated(sae, source, TEXT).levels, levels, strict=True):
        assert figures.fvu == pytest.approx(fvu(rows, reconstruction), rel=1e-5)
        assert figures.ev_legacy == pytest.approx(ev_legacy(rows, reconstruction), rel=1e-4)


def test_small_batches_of_logits_make_no_difference(toys, gpt2):
    sae, text = toys.random_sae(24, (4, 40)), string_documents(["the cat sat on the mat", "a mat"])
    whole = evaluated(sae, gpt2(), text)
    parts = evaluated(sae, gpt2(), text, max_logits=1)
    for name in ("fvu", "ce_sae", "ce_zero", "ce_mean", "kl", "l0"):
        for mine, other in zip(whole.levels, parts.levels, strict=True):
            assert getattr(mine, name) == pytest.approx(getattr(other, name), rel=1e-5), name
    assert whole.sample.n_predictions == parts.sample.n_predictions


def test_one_pass_a_level_and_three_more(toys, bigram):
    evaluated(toys.random_sae(6, (2, 4, 8)), bigram, string_documents(["abc"]))
    to_learn_the_vocabulary = 1
    assert len(bigram.passes) == to_learn_the_vocabulary + 3 + 3


def test_whole_contexts_up_to_n_tokens(toys, bigram):
    sae = toys.pair_sae(6)
    sample = evaluated(sae, bigram, WORDS, n_tokens=9).sample
    assert (sample.n_tokens, sample.n_contexts) == (16, 2)
    assert not any("requested" in note for note in sample.notes)
    assert any("does not say what it was trained on" in note for note in sample.notes)
    sae.source = bigram.specs["embed"]
    assert not any("trained on" in note for note in evaluated(sae, bigram, WORDS).sample.notes)


def test_fewer_tokens_than_asked_is_said(toys, bigram):
    table = evaluated(toys.pair_sae(6), bigram, WORDS, n_tokens=100_000)
    assert table.sample.n_tokens == 41
    assert "100,000 tokens were requested; there were 41." in table.sample.notes


def test_without_a_language_head_ce_does_not_apply(toys, bigram):
    headless = toys.HeadlessSource(bigram.embedding)
    bigram.has_language_head = False
    sae = toys.random_sae(6, (2, 8), k=2)
    tables = [evaluated(sae, source, WORDS) for source in (headless, bigram)]
    assert not bigram.passes
    for table in tables:
        for row in table.levels:
            assert row.ce_clean is row.ce_sae is row.ce_zero is row.ce_mean is row.ce_recovered is row.kl is None
            assert row.fvu > 0
        assert "The source has no language head: CE and KL do not apply." in table.sample.notes
    assert tables[0].levels == tables[1].levels


def test_on_a_store_and_on_rows(toys, gpt2, tmp_path):
    source, sae = gpt2(), toys.random_sae(24, (4, 40))
    store = harvest(
        source, TEXT, n_tokens=100, holdout_tokens=60, path=tmp_path / "acts", dtype="float32", progress=False
    )
    sae.source = store.spec
    with_model = evaluated(sae, source, store)
    again = evaluated(sae, source, store.holdout.contexts())
    alone = evaluate_rows(sae, store.holdout, progress=False)
    array = evaluate_rows(sae, store.holdout.rows(0, store.holdout.n_rows), progress=False)
    assert with_model.sample.n_tokens == store.holdout.n_rows
    assert with_model.levels == again.levels
    for mine, rows, tensor in zip(with_model.levels, alone.levels, array.levels, strict=True):
        for name in ("fvu", "l0", "cosine", "bits"):
            assert getattr(mine, name) == pytest.approx(getattr(rows, name), rel=1e-5), name
        assert rows.ce_sae is None
        assert rows == tensor
    few = evaluate_rows(sae, store, n_tokens=7, progress=False)
    assert few.sample.n_tokens == 7
    assert few.sample.hook_name == store.spec.hook_name


def test_a_store_without_holdout(toys, gpt2, tmp_path):
    store = harvest(gpt2(), TEXT, n_tokens=60, holdout_tokens=0, path=tmp_path / "acts", progress=False)
    with pytest.raises(EvaluationError, match=r"no holdout.*evaluate_rows"):
        evaluated(toys.random_sae(24, (4, 40)), gpt2(), store)


def test_an_array_needs_no_data(toys):
    from msae.activations.arrays import ArraySource

    rows = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    table = evaluated(toys.pair_sae(6), ArraySource(rows))
    assert table.sample.n_tokens == 50
    assert table.levels[0].fvu < 1e-12


def test_an_sae_of_another_source_is_refused(toys, bigram):
    sae = toys.pair_sae(6)
    sae.source = dataclasses.replace(bigram.specs["embed"], model="another")
    with pytest.raises(MismatchError, match=r"model: 'another' != 'bigram'.*force"):
        evaluated(sae, bigram, WORDS)
    with pytest.warns(UserWarning, match="going on because force=True"):
        assert evaluated(sae, bigram, WORDS, force=True).levels[0].fvu < 1e-12
    with pytest.raises(MismatchError, match="d_in = 5 numbers, embed of bigram has 6"):
        evaluated(toys.pair_sae(5), bigram, WORDS, force=True)


def test_a_source_with_several_hooks(toys, gpt2):
    names = ["blocks.0.hook_resid_post", "blocks.1.hook_resid_post"]
    source = gpt2(layer=None, hook_names=names)
    first, second = source.specs
    sae = toys.random_sae(24, (4, 40))
    with pytest.raises(ConfigError, match="hook_name is needed"):
        evaluated(sae, source, TEXT)
    named = evaluated(sae, source, TEXT, hook_name=second)
    sae.source = source.specs[second]
    assert evaluated(sae, source, TEXT).levels == named.levels
    assert named.sample.hook_name == second
    with pytest.raises(ConfigError, match="did you mean"):
        evaluated(sae, source, TEXT, hook_name=first + "s")


def test_figures_that_cannot_be_given_are_none_with_a_reason(toys):
    # Zeros in place of these activations make the model better.
    source = toys.BigramSource(torch.tensor([[0.0], [1.0], [-1.0]]), torch.tensor([[0.0, 9.0, 0.0]]))
    table = evaluated(toys.pair_sae(1), source, string_documents(["abab"]))
    assert table.levels[0].ce_recovered is None
    assert any("against zeros is not given" in note for note in table.sample.notes)
    lonely = evaluated(toys.pair_sae(1), source, string_documents(["a", "b", "a"]))
    assert lonely.levels[0].ce_clean is None
    assert lonely.sample.n_predictions == 0
    # One row a batch: its own mean is itself, so there is no per-batch explained variance.
    assert lonely.levels[0].ev_legacy is None


@pytest.mark.parametrize("documents", [[], [Document("empty", "")]])
def test_nothing_to_evaluate_on(toys, bigram, documents):
    with pytest.raises(EvaluationError, match="not one token"):
        evaluated(toys.pair_sae(6), bigram, documents)


def test_activations_that_are_not_finite_or_do_not_vary(toys, bigram):
    bigram.embedding[3, 2] = math.nan
    with pytest.raises(EvaluationError, match="NaN or infinite activations"):
        evaluated(toys.pair_sae(6), bigram, WORDS)
    bigram.embedding[:] = 0.25
    with pytest.raises(EvaluationError, match="all the same"):
        evaluated(toys.pair_sae(6), bigram, WORDS)


def test_a_diverged_sae(toys, bigram):
    sae = toys.pair_sae(6)
    with torch.no_grad():
        sae.b_dec[0] = math.inf
    with pytest.raises(EvaluationError, match="b_dec of the SAE is not finite: it has diverged"):
        evaluate_rows(sae, bigram.embedding, progress=False)


def test_the_mode_of_the_sae_is_used_and_kept(toys, bigram):
    sae = toys.random_sae(6, (2, 8), k=2)
    trained = evaluated(sae, bigram, WORDS)
    sae.train()
    assert evaluated(sae, bigram, WORDS).levels == trained.levels
    assert sae.training
    with pytest.raises(CheckpointError, match="no threshold"):
        evaluated(SparseAutoencoder(6, 8, BatchTopK(k=2), FixedPrefixes((2, 8))), bigram, WORDS)


def test_settings_out_of_range(toys, bigram):
    for wrong in ({"n_tokens": 0}, {"max_logits": 0}, {"quantiser_step": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            evaluated(toys.pair_sae(6), bigram, WORDS, **wrong)
    with pytest.raises(MismatchError, match="the rows have 5"):
        evaluate_rows(toys.pair_sae(6), torch.ones(3, 5))
