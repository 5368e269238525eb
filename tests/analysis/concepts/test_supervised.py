"""A hand-built dictionary in which every label, split and absorbed token is known."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from msae.activations.store import RowTokens
from msae.analysis.concepts.labelled import Labelled, LabelledMeasurement
from msae.analysis.concepts.labels import Concept, Labels
from msae.analysis.concepts.probes import ProbeSettings, probe_activations
from msae.analysis.concepts.supervised import LABELLED_MEASUREMENTS, measure_labelled, supervised
from msae.analysis.sample import ArrayRows
from msae.analysis.tables import Status, meanings, read_table
from msae.core.config import from_dict, to_dict
from msae.core.errors import ConfigError, EvaluationError, MismatchError
from msae.core.rng import numpy_stream

N_DOCUMENTS, LENGTH, D = 60, 50, 8
N = N_DOCUMENTS * LENGTH


def example(build: SimpleNamespace) -> SimpleNamespace:
    """Every row is of one of six kinds (or of none): axis e of the activations is 3 on rows of kind e.

    The concept ``parent`` is on kinds 0, 1 and 2. Level 0 is three latents: one reads "kind 0 or 1", one kind 2's own
    direction, which holds the parent's direction too, and one kind 3. So on rows of kind 2 the parent's latent is
    silent always: its child has absorbed it wholly, and never fires with it. Level 1 adds latents for kinds 4 and 5,
    which are the two halves of the concept ``split``.
    """
    kind = numpy_stream(0, "test/supervised").integers(0, 8, N)
    x = np.zeros((N, D), np.float32)
    parent, own = 6, 3.0
    for k in range(6):
        x[kind == k, k] = own
    x[np.isin(kind, [0, 1, 2]), parent] = 4.0
    x += numpy_stream(1, "test/supervised").normal(0, 0.05, x.shape).astype(np.float32)
    axis = np.eye(D, dtype=np.float32)
    child = 3 * axis[2] + 4 * axis[parent]
    W_dec = np.stack([axis[parent], child / 5, axis[3], axis[4], axis[5]])
    # Kind 2's axis switches the parent's latent off: that is what absorption does to an encoder.
    W_enc = np.stack([axis[parent] - 2 * axis[2], axis[2] * 5 / 3, axis[3], axis[4], axis[5]])
    row = np.arange(N)
    tokens = RowTokens(
        token_id=torch.zeros(N, dtype=torch.long),
        document=torch.from_numpy(row // LENGTH),
        offset=torch.from_numpy(row % LENGTH),
    )
    sae = build.sae_of(W_dec, W_enc, (3, 5))
    with torch.no_grad():
        sae.threshold.fill_(1.0)
    names = {"parent": [0, 1, 2], "child": [2], "other child": [0], "split": [4, 5], "third": [3], "rare": []}
    shown = {name: np.flatnonzero(np.isin(kind, kinds)) for name, kinds in names.items()}
    shown["rare"] = row[:5]
    parents = {"child": "parent", "other child": "parent"}
    concepts = [Concept(name=name, family="kinds", within="rows", parent=parents.get(name)) for name in names]
    labels = Labels(concepts=tuple(concepts), rows={"rows": row, **shown}, n_rows=N)
    return SimpleNamespace(sae=sae, rows=ArrayRows(torch.from_numpy(x), tokens), labels=labels, kind=kind)


@pytest.fixture(scope="module")
def known(build) -> SimpleNamespace:
    found = example(build)
    found.probes = probe_activations(found.rows, found.labels)
    found.result = supervised(found.sae, found.rows, found.probes)
    return found


def rows_of(result, name: str, **which: object) -> list[dict]:
    return [row for row in result.tables[name].to_pylist() if all(row[k] == v for k, v in which.items())]


def one(result, name: str, **which: object) -> dict:
    (row,) = rows_of(result, name, **which)
    return row


def test_the_probe_on_activations_finds_what_is_there_and_nothing_in_shifted_labels(known):
    for name in ("parent", "child", "split", "third"):
        row = one(known.result, "concepts", concept=name)
        assert row["status"] == "ok" and row["probe_f1"] == 1.0 and row["probe_f1_error"] == 0.0
        assert row["probe_null_f1"] < 0.65
        assert row["n_tokens"] == len(known.labels.rows[name])
        assert row["share"] == pytest.approx(row["n_tokens"] / N)


def test_too_few_tokens_are_named_and_measured_no_further(known):
    row = one(known.result, "concepts", concept="rare")
    assert row["status"] == "too few tokens" and row["probe_f1"] is None and row["first_level"] is None
    assert rows_of(known.result, "probes", concept="rare") == []
    assert rows_of(known.result, "concept_absorption", concept="rare") == []
    assert known.result.summary["probes.concepts_with_too_few_tokens"] == 1


def test_which_level_first_separates_which_concept(known):
    first = {row["concept"]: row["first_level"] for row in known.result.tables["concepts"].to_pylist()}
    assert first == {"parent": 0, "child": 0, "third": 0, "split": 1, "other child": None, "rare": None}


def test_sparse_probes_take_the_latents_that_tell_the_concept(known):
    child = one(known.result, "probes", concept="child", level=0, k=1)
    assert (child["latents"], child["f1"], child["precision"], child["recall"]) == ([1], 1.0, 1.0, 1.0)
    assert child["null_f1"] < 0.4
    test = known.probes.documents.is_test[np.arange(N) // LENGTH]
    missed = (known.kind[test] == 5).sum()
    halves = one(known.result, "probes", concept="split", level=1, k=1)
    assert halves["latents"] in ([3], [4])
    found = (np.isin(known.kind[test], [4, 5])).sum()
    lost = missed if halves["latents"] == [3] else found - missed
    assert halves["recall"] == pytest.approx(1 - lost / found) and halves["precision"] == 1.0
    assert one(known.result, "probes", concept="split", level=1, k=2)["f1"] == 1.0


def test_the_number_of_split_latents(known):
    splits = {
        (row["concept"], row["level"]): (row["n_main"], row["main"])
        for row in rows_of(known.result, "concept_absorption", definition="saebench_full", child=None)
    }
    assert splits["split", 1][0] == 2 and set(splits["split", 1][1]) == {3, 4}
    assert splits["third", 0] == splits["third", 1] == (1, [2])
    # Its own latent, and the child's, which gains the rest.
    assert splits["parent", 0][0] == 2 and set(splits["parent", 0][1]) == {0, 1}


def test_what_is_chosen_is_not_chosen_on_the_documents_that_are_reported(build):
    # Labels of the test documents mixed up: every figure falls, and no choice of latents or of their number changes.
    known = example(build)
    settings = ProbeSettings(least_f1=0.0)
    test = probe_activations(known.rows, known.labels, settings).documents.is_test[np.arange(N) // LENGTH]
    order = np.arange(N)
    order[test] = numpy_stream(3, "test/supervised").permutation(order[test])
    shown = {
        name: np.flatnonzero(np.isin(order, rows)) if name != "rows" else rows
        for name, rows in known.labels.rows.items()
    }
    probed = []
    for rows in (known.labels.rows, shown):
        probes = probe_activations(known.rows, dataclasses.replace(known.labels, rows=rows), settings)
        probed.append(
            {(p.concept.name, p.level): p for p in Labelled.encoded(known.sae, known.rows, probes).level_probes}
        )
    true, mixed = probed
    assert true.keys() == mixed.keys() and len(true) == 10
    for case, level in true.items():
        assert level.main.tolist() == mixed[case].main.tolist()
        assert level.best.probe.latents.tolist() == mixed[case].best.probe.latents.tolist()
        assert mixed[case].best.score.f1 < 0.6


def test_a_child_that_never_fires_with_its_parent_has_absorbed_it(build):
    known = example(build)
    settings = ProbeSettings(gain=0.5)  # the parent's latent alone is main: the child's gains 0.2 of F1
    result = supervised(known.sae, known.rows, known.labels, settings=settings)
    for definition in ("saebench_full", "saebench_fraction", "main_silent"):
        row = one(result, "concept_absorption", concept="parent", child="child", level=0, definition=definition)
        assert row["main"] == [0] and row["rate"] == pytest.approx(1.0) and row["rate_error"] == pytest.approx(0.0)
        beside = one(
            result, "concept_absorption", concept="parent", child="other child", level=0, definition=definition
        )
        assert beside["rate"] == 0.0 and beside["absorber"] is None
    row = one(result, "concept_absorption", concept="parent", child="child", level=0, definition="saebench_full")
    assert (row["absorber"], row["absorber_share"], row["absorber_is_childs"]) == (1, 1.0, True)
    everything = one(result, "concept_absorption", concept="parent", child=None, level=0, definition="saebench_full")
    test = known.labels.rows["parent"]
    test = test[probe_activations(known.rows, known.labels, settings).documents.is_test[test // LENGTH]]
    assert everything["rate"] == pytest.approx((known.kind[test] == 2).mean())
    assert 0 < everything["rate_error"] < 0.1 and everything["null_rate"] < everything["rate"]


def test_absorption_by_chance_keeps_the_main_latents_where_they_are(build):
    # The main latent fires on every other token of the concept, and nothing takes its place: latent 1, with a cosine of
    # .9, fires on three tokens in ten, whatever they show. So ½ · .3 are "absorbed", all of it chance. With the main
    # latent shifted too, it would be off on three tokens of four, and chance .225.
    stream = numpy_stream(2, "test/supervised")
    shows = stream.random(N) < 0.5
    triggers = np.stack([shows & (stream.random(N) < 0.5), stream.random(N) < 0.3], 1)
    x = np.zeros((N, 4), np.float32)
    x[:, 0], x[:, 2:] = 3.0 * shows, 3.0 * triggers
    axis = np.eye(4, dtype=np.float32)
    sae = build.sae_of(np.stack([axis[0], 0.9 * axis[0] + 0.19**0.5 * axis[1]]), axis[2:], (2,))
    with torch.no_grad():
        sae.threshold.fill_(1.0)
    row = np.arange(N)
    labels = Labels(
        concepts=(Concept(name="shown", family="kinds", within="rows"),),
        rows={"rows": row, "shown": np.flatnonzero(shows)},
        n_rows=N,
    )
    tokens = RowTokens(token_id=torch.zeros(N).long(), document=torch.tensor(row // 50), offset=torch.tensor(row % 50))
    result = supervised(sae, ArrayRows(torch.from_numpy(x), tokens), labels, settings=ProbeSettings(gain=0.1))
    for definition in ("saebench_full", "saebench_fraction"):
        found = one(result, "concept_absorption", definition=definition)
        assert found["main"] == [0] and found["rate"] > 0.1
        assert found["null_rate"] == pytest.approx(found["rate"], abs=0.035)
    assert one(result, "concept_absorption", definition="main_silent")["null_rate"] > 0.68


def test_ablation_on_the_probes_own_logit(build):
    known = example(build)
    probes = probe_activations(known.rows, known.labels, ProbeSettings(gain=0.5))
    result = supervised(known.sae, known.rows, probes)
    (probe,) = (probe for probe in probes.probes if probe.concept.name == "parent")
    row = one(result, "concept_absorption", concept="parent", child="child", level=0, definition="probe_ablation")
    # On these rows the child's latent fires alone, with 5: ablating it takes 5 ⟨W_dec, w⟩ off the logit.
    effect = 5 * float(known.sae.W_dec[1].detach() @ probe.weight)
    assert row["rate"] == pytest.approx(float(effect >= 1.0), abs=0.02)


def test_what_is_not_measured_is_named(known):
    for row in rows_of(known.result, "concept_absorption", definition="chanin_2409"):
        assert row["status"] == Status.NO_LOGIT and row["rate"] is None and row["absorbed"] is None
    for row in rows_of(known.result, "concept_absorption_levels", definition="chanin_2409"):
        assert row["status"] == Status.NO_LOGIT and row["rate"] is None and row["concepts"] == 0


def test_levels_are_means_over_concepts(known):
    rows = rows_of(known.result, "concept_absorption", definition="saebench_full", child=None, level=1)
    mean = one(
        known.result,
        "concept_absorption_levels",
        definition="saebench_full",
        level=1,
        of_children=False,
        family="all",
    )
    assert mean["concepts"] == len(rows) == 5
    assert mean["rate"] == pytest.approx(np.mean([row["rate"] for row in rows]))
    assert mean["n_main"] == pytest.approx(np.mean([row["n_main"] for row in rows]))
    assert mean["rate_error"] == pytest.approx(np.std([row["rate"] for row in rows], ddof=1) / 5**0.5, abs=1e-6)
    pairs = one(
        known.result, "concept_absorption_levels", definition="saebench_full", level=1, of_children=True, family="all"
    )
    assert pairs["concepts"] == 2


def test_tables_say_what_they_hold_and_can_be_read_again(known, tmp_path):
    json.dumps(dict(known.result.summary), allow_nan=False)
    known.result.write(tmp_path)
    assert set(known.result.tables) == {"concepts", "probes", "concept_absorption", "concept_absorption_levels"}
    for name, table in known.result.tables.items():
        assert all(meanings(table).values())
        assert read_table(tmp_path / f"{name}.parquet").equals(table)


def test_the_same_sample_gives_the_same_tables(known):
    again = supervised(known.sae, known.rows, known.labels)
    assert all(again.tables[name].equals(known.result.tables[name]) for name in again.tables)


def test_without_nulls_their_columns_are_empty(known):
    probes = probe_activations(known.rows, known.labels, ProbeSettings(null=False))
    result = supervised(known.sae, known.rows, probes)
    assert set(result.tables["concepts"]["probe_null_f1"].to_pylist()) == {None}
    assert set(result.tables["concept_absorption"]["null_rate"].to_pylist()) == {None}
    assert one(result, "concepts", concept="child")["probe_f1"] == 1.0


def test_a_level_in_which_nothing_fires(build):
    known = example(build)
    with torch.no_grad():
        known.sae.threshold[:3] = 1e6
    result = supervised(known.sae, known.rows, known.labels)
    silent = one(result, "probes", concept="third", level=0)
    assert (silent["status"], silent["k"], silent["f1"]) == ("never fires", None, None)
    for row in rows_of(result, "concept_absorption", concept="third", level=0):
        assert (row["rate"], row["n_main"]) == (None, 0)
        assert row["status"] == "never fires" or row["definition"] == "chanin_2409"
    assert one(result, "concepts", concept="third")["level_f1"][0] is None


def test_refusals(known, build):
    with pytest.raises(EvaluationError, match="of 1 document: .* three are needed"):
        probe_activations(known.rows, known.labels.first(30))
    short = ArrayRows(known.rows.rows(0, 100))
    with pytest.raises(EvaluationError, match="3,000 rows are labelled"):
        probe_activations(short, known.labels)
    with pytest.raises(MismatchError, match="d_in"):
        supervised(build.sae_of(torch.eye(3), torch.eye(3), (3,)), known.rows, known.probes)
    with pytest.raises(EvaluationError, match="made already"):
        supervised(known.sae, known.rows, known.probes, settings=ProbeSettings())
    with pytest.raises(ConfigError, match="ks"):
        ProbeSettings(ks=(2, 1))
    with pytest.raises(EvaluationError, match="parent 'nobody'"):
        Labels(
            concepts=(Concept(name="child", family="", within="rows", parent="nobody"),),
            rows={"child": np.arange(3), "rows": np.arange(3)},
            n_rows=3,
        )


@pytest.mark.parametrize("cls", LABELLED_MEASUREMENTS, ids=lambda cls: cls.name)
def test_every_labelled_measurement_keeps_the_contract(cls, known):
    settings = cls()
    assert isinstance(settings, LabelledMeasurement)
    assert from_dict(cls, to_dict(settings)) == settings
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.name = "other"
    _, apart = measure_labelled(Labelled.encoded(known.sae, known.rows, known.probes))
    assert cls.name in apart[cls.name].tables
