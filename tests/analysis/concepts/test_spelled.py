"""First letters through a model that spells, with dictionaries in which it is known what is absorbed.

What the SAEs read is the embedding of a token, the same wherever it stands; latent l of level 0 is letter l's own.
"""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

import msae
from msae.activations.store import RowTokens
from msae.activations.transformer_lens import TransformerLensSource
from msae.analysis.all_measurements import Result
from msae.analysis.concepts import spelled
from msae.analysis.concepts.concept_absorption import ConceptAbsorption
from msae.analysis.concepts.concept_absorption_tables import THROUGH_THE_MODEL, shown_levels
from msae.analysis.concepts.labelled import Labelled
from msae.analysis.concepts.labels import Labels, label_text
from msae.analysis.concepts.probes import ProbeSettings, probe_activations
from msae.analysis.concepts.spelled import SpelledWords
from msae.analysis.concepts.spelling import SpellingPrompts, spelling_prompts
from msae.analysis.concepts.supervised import supervised
from msae.analysis.interventions.integrated_gradients import moved
from msae.analysis.interventions.one_context import whole_context
from msae.analysis.sample import ArrayRows, token_text
from msae.analysis.tables import Status
from msae.core.rng import numpy_stream

HOOK = "blocks.0.hook_resid_pre"
ABSORBED, ITS_LETTER, ITS_LATENT = " bell", "b", 5
ONE_LATENT = ProbeSettings(gain=0.5)  # main is the letter's latent alone: the word's gains less F1 than this


def opened(folder) -> TransformerLensSource:
    return TransformerLensSource(folder, HOOK, context_size=64, device="cpu")


def sample(source: TransformerLensSource, words: tuple[str, ...]) -> tuple[ArrayRows, Labels]:
    """40 documents of 30 words, their rows and labels."""
    token = {text: i for i, text in enumerate(token_text(source.tokenizer).texts)}
    drawn = numpy_stream(0, "test/spelled").choice([token[word] for word in words], size=(40, 30))
    token_id = torch.from_numpy(drawn).flatten()
    document, offset = torch.arange(40).repeat_interleave(30), torch.arange(30).repeat(40)
    tokens = RowTokens(token_id=token_id, document=document, offset=offset)
    rows = ArrayRows(embedding(source)[token_id], tokens)
    return rows, label_text(rows, rows.n_rows, token_text(source.tokenizer))


def embedding(source: TransformerLensSource) -> Tensor:
    return source.model.original_model.get_input_embeddings().weight.detach().clone()


def known_sae(source: TransformerLensSource, speller: SimpleNamespace, *, absorbs: bool = True) -> SimpleNamespace:
    """Level 0: a latent a letter, silent on `ABSORBED` if that is absorbed. Level 1 adds that word's own latent, which
    then explains all of its embedding but b_dec."""
    token = {text: i for i, text in enumerate(token_text(source.tokenizer).texts)}
    x = embedding(source)[[token[word] for word in speller.words]].double()
    mean = x.mean(dim=0)
    centred = x - mean
    is_letter = torch.tensor([[word[1] == letter for letter in speller.letters] for word in speller.words])
    is_word = torch.tensor([word == ABSORBED for word in speller.words])
    fires = torch.cat([is_letter & ~(is_word[:, None] & absorbs), is_word[:, None]], dim=1)
    own = torch.cat([is_letter.double().T @ centred / is_letter.sum(dim=0)[:, None], centred[is_word]])
    size = own.norm(dim=1)
    # There are fewer words than dimensions: the encoder gives each of them exactly the codes wanted.
    wanted = torch.where(fires, size, -1.0)
    sae = msae.SparseAutoencoder(x.shape[1], 6, msae.BatchTopK(k=6), msae.FixedPrefixes((5, 6)))
    with torch.no_grad():
        sae.W_dec.copy_(own / size[:, None])
        sae.W_enc.copy_(torch.linalg.pinv(centred, rtol=1e-9) @ (wanted - wanted.mean(dim=0)))
        sae.b_enc.copy_(wanted.mean(dim=0))
        sae.b_dec.copy_(mean)
        sae.threshold.fill_(float(size.min()) / 2)
    return SimpleNamespace(sae=sae.eval(), size=size)


@pytest.fixture(scope="module")
def taught(speller) -> SimpleNamespace:
    source = opened(speller.folder)
    rows, labels = sample(source, speller.words)
    return SimpleNamespace(source=source, rows=rows, labels=labels, probes=probe_activations(rows, labels, ONE_LATENT))


@pytest.fixture(scope="module")
def found(taught, speller):
    sae = known_sae(taught.source, speller).sae
    return supervised(sae, taught.rows, taught.probes, source=taught.source)


def rows_of(result, letter: str | None = None, table: str = "concept_absorption", **which: object) -> list[dict]:
    which |= {"definition": THROUGH_THE_MODEL} | ({"concept": f"{letter}… (words)"} if letter else {})
    return [row for row in result.tables[table].to_pylist() if all(row[k] == v for k, v in which.items())]


def one(result, *args, **which: object) -> dict:
    (row,) = rows_of(result, *args, **which)
    return row


def test_the_word_that_has_absorbed_its_letter_is_found(found):
    assert found.summary["concept_absorption.spelling"] == "the model spells 60 of 60 words"
    row = one(found, ITS_LETTER, level=1)
    assert (row["status"], row["n_tokens"], row["main"], row["absorbed"]) == ("ok", 12, [0], 1.0)
    assert row["rate"] == pytest.approx(1 / 12) and (row["absorber"], row["absorber_share"]) == (ITS_LATENT, 1.0)
    assert row["rate_error"] == pytest.approx(np.std([1] + 11 * [0], ddof=1) / 12**0.5)
    assert row["null_rate"] is not None and row["child"] is None and row["absorber_is_childs"] is None


def test_where_the_prefix_has_no_latent_for_the_word_nothing_is_absorbed_by_one(found):
    row = one(found, ITS_LETTER, level=0)
    assert (row["status"], row["n_tokens"], row["absorbed"], row["absorber"]) == ("ok", 12, 0.0, None)


def test_letters_whose_latent_fires_on_all_words_are_not_absorbed(found, speller):
    for letter in speller.letters.replace(ITS_LETTER, ""):
        for row in rows_of(found, letter):
            assert (row["status"], row["n_tokens"], row["rate"], row["absorber"]) == ("ok", 12, 0.0, None)


def test_with_the_letters_latent_on_the_words_own_is_no_absorber(taught, speller):
    sae = known_sae(taught.source, speller, absorbs=False).sae
    result = supervised(sae, taught.rows, taught.probes, source=taught.source)
    assert all(row["rate"] == 0.0 for row in rows_of(result))


def test_levels_are_means_over_letters(found):
    for family in ("all", "first letter, words"):
        row = one(found, table="concept_absorption_levels", level=1, family=family, of_children=False)
        assert (row["status"], row["concepts"]) == ("ok", 5)
        assert row["rate"] == pytest.approx(1 / 12 / 5) and row["n_main"] == 1.0


@pytest.fixture(scope="module")
def prompts(taught) -> SpellingPrompts:
    texts = token_text(taught.source.tokenizer).texts
    return spelling_prompts(lambda text: whole_context(taught.source, text), texts, most=12, longest=64)


def asked(taught, prompts, sae, size: int = 32) -> SpelledWords:
    return SpelledWords.of(taught.source, HOOK, sae, prompts, size=size)


def test_the_models_logits_are_its_own_and_the_effect_is_that_of_ablation(taught, speller, prompts):
    built = known_sae(taught.source, speller)
    words = asked(taught, prompts, built.sae)
    (index,) = (i for i, word in enumerate(words.prompts.words) if word == ABSORBED)
    prompt = words.prompts.select(torch.tensor([index]))
    codes = words.codes_at(np.array([index]), 1)
    assert codes.latent[0, 0] == ITS_LATENT and codes.value[0, 0] == pytest.approx(float(built.size[-1]), rel=1e-4)
    with torch.no_grad():
        clean = prompt.margin(taught.source.logits(prompt.contexts)[:, -1])
        by = -(words.x[[index]] - built.sae.b_dec)  # its latent is all there is of it
        without = prompt.margin(taught.source.logits(prompt.contexts, {HOOK: moved(prompt.place, by)})[:, -1])
    gradient = words._mean_gradients(np.array([index]), 1, False)[0]
    effect = -codes.value[0, 0] * gradient @ built.sae.W_dec[ITS_LATENT].detach().double().numpy()
    assert float(clean) > 5 and effect < -1
    assert effect == pytest.approx(float(without - clean), rel=0.15)  # six steps along a curve


def test_a_latent_that_is_main_absorbs_nothing(taught, speller, prompts):
    words = asked(taught, prompts, known_sae(taught.source, speller).sae)
    own, cosine = words.of_letter(ITS_LETTER), np.ones(6)
    for main, n_absorbed in (([0], 1), ([0, ITS_LATENT], 0)):
        absorbed, _ = words.absorbed(own, 1, cosine, np.array(main))
        assert absorbed.sum() == n_absorbed
    away, _ = words.absorbed(own, 1, np.full(6, 0.02), np.array([0]))  # not along the probe
    assert not away.any()


def test_batches_do_not_matter(taught, speller, prompts):
    sae = known_sae(taught.source, speller).sae
    cosine = np.ones(6)
    tables = [asked(taught, prompts, sae, size) for size in (7, 64)]
    everything = tables[0].of_letter(ITS_LETTER)
    assert tables[0].prompts.words == tables[1].prompts.words
    torch.testing.assert_close(tables[0].x, tables[1].x)
    for null in (False, True):
        said = [table.absorbed(everything, 1, cosine, np.array([0]), null=null) for table in tables]
        np.testing.assert_array_equal(said[0][1], said[1][1])
        gradients = [table._mean_gradients(everything, 1, null) for table in tables]
        np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-4)


def test_fewer_words_can_be_asked_and_none(taught, speller):
    labelled = Labelled.encoded(known_sae(taught.source, speller).sae, taught.rows, taught.probes, source=taught.source)
    few = ConceptAbsorption(words=4).run(labelled)
    counts = ("status", "n_tried", "n_spelled")
    assert {tuple(row[n] for n in counts) for row in rows_of(few)} == {(Status.FEW_WORDS, 4, 4)}
    levels = rows_of(few, table="concept_absorption_levels")
    assert {tuple(row[n] for n in counts) for row in levels} == {(Status.FEW_WORDS, 20, 20)}
    none = ConceptAbsorption(words=0).run(labelled)
    assert {tuple(row[n] for n in counts) for row in rows_of(none)} == {(Status.NO_MODEL, None, None)}


def test_a_model_that_cannot_spell_is_said_so(speller):
    source = opened(speller.untaught)
    rows, labels = sample(source, speller.words)
    probes = probe_activations(rows, labels, ONE_LATENT)
    result = supervised(known_sae(source, speller).sae, rows, probes, source=source)
    assert {row["status"] for row in rows_of(result)} == {Status.FEW_WORDS}
    assert all(row["rate"] is None and row["absorber"] is None for row in rows_of(result))
    said = printed(result)
    assert f"{THROUGH_THE_MODEL}: {result.summary['concept_absorption.spelling']}" in said


@pytest.mark.parametrize(("taught_it", "n_tried"), [(True, 60), (False, 20)])
def test_a_model_that_hardly_spells_the_first_words_is_asked_for_no_more(
    speller, prompts, monkeypatch, taught_it, n_tried
):
    monkeypatch.setattr(spelled, "TRIAL", 20)
    source = opened(speller.folder if taught_it else speller.untaught)
    words = SpelledWords.of(source, HOOK, known_sae(source, speller).sae, prompts, size=10)
    assert sum(words.tried.values()) == n_tried and words.enough == taught_it
    assert words.sentence() == f"the model spells {len(words.prompts)} of {n_tried} words"


def test_without_a_model_there_is_none_to_ask(taught, speller):
    result = supervised(known_sae(taught.source, speller).sae, taught.rows, taught.probes)
    assert {row["status"] for row in rows_of(result)} == {Status.NO_MODEL}
    assert "n/a: there is no model to ask" in printed(result)


def test_the_terminal_shows_the_rates(found):
    said = printed(found)
    assert THROUGH_THE_MODEL in said and "0.017" in said and "the model spells 60 of 60 words" in said


def printed(result) -> str:
    apart = Result(
        tables=result.tables,
        summary={k.removeprefix("concept_absorption."): v for k, v in result.summary.items()},
    )
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(shown_levels(apart))
    return " ".join(console.export_text().split())
