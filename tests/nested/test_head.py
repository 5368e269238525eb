"""An ordered linear map learns what is known to be there, nothing where nothing is, and goes on after a kill."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from msae.activations.arrays import ArraySource
from msae.activations.harvest import harvest
from msae.core.errors import ConfigError, TrainingError
from msae.nested import HeadConfig, PcaPrefix, load_code, train_head, train_independent_heads
from msae.nested.head_losses import class_loss, cosine_loss, similarities

WIDTHS = (2, 4, 8)

QUICK = HeadConfig(widths=WIDTHS, n_steps=40, batch_size=32, checkpoint_every=10)


def test_the_loss_of_classifiers_that_know_nothing_is_the_log_of_the_classes(drawn):
    codes, label = drawn(10, 8, "codes"), torch.arange(10) % 5
    nothing = [(torch.zeros(m, 5), torch.zeros(5)) for m in WIDTHS]
    assert float(class_loss(codes, label, WIDTHS, (1.0, 2.0, 0.5), nothing)) == pytest.approx(
        3.5 * math.log(5), rel=1e-6
    )


def test_the_cosine_loss_of_two_rows_by_hand():
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0]])  # at right angles
    codes = torch.tensor([[1.0, 0.0], [3.0, 3.0]])  # at level 0 alike, at level 1 at 45°
    assert float(cosine_loss(codes, rows, (1, 2), (1.0, 1.0))) == pytest.approx(1.0 + 0.5)
    assert float(cosine_loss(codes, rows, (1, 2), (0.0, 4.0))) == pytest.approx(2.0)
    assert torch.allclose(similarities(rows), torch.eye(2))


@pytest.fixture
def hidden_classes(drawn):
    return lambda n, name: with_hidden_classes(drawn(n, 12, name))


def with_hidden_classes(rows):
    """Two classes apart along an axis of little variance, below five of much: what variance ranks sixth."""
    n, rows = len(rows), rows * torch.tensor([9.0, 8, 7, 6, 5, 0.1, 3, 2, 1, 1, 1, 1])
    side = torch.arange(n) % 2
    rows[:, 5] += side * 2.0
    return rows, ["right" if s else "left" for s in side]


def accuracy(code, rows, labels, level):
    found = code.logits(rows, level).argmax(1)
    return sum(code.classes[i] == label for i, label in zip(found, labels, strict=True)) / len(labels)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("start", ["pca", "random"])
def test_the_smallest_prefix_holds_what_tells_the_classes_apart(tied, start, hidden_classes):
    rows, labels = hidden_classes(400, "train")
    test_rows, test_labels = hidden_classes(400, "test")
    config = HeadConfig(widths=(1, 4, 12), n_steps=400, batch_size=100, lr=1e-2, tied=tied, start=start)
    head = train_head(rows, config, labels=labels)
    assert head.classes == ("left", "right")
    assert min(accuracy(head, test_rows, test_labels, level) for level in range(3)) > 0.95
    # The first principal component, of the same rows, says nothing of them.
    first = PcaPrefix.fit(rows, (1,)).transform(test_rows)[:, 0]
    guess = ["right" if value > 0 else "left" for value in first]
    assert 0.4 < sum(a == b for a, b in zip(guess, test_labels, strict=True)) / 400 < 0.6


def test_labels_at_random_are_not_learned(hidden_classes, drawn):
    rows, _ = hidden_classes(400, "train")
    coin = ["heads" if value > 0 else "tails" for value in drawn(800, 1, "coin")[:, 0]]
    head = train_head(rows, replace(QUICK, n_steps=300), labels=coin[:400])
    test_rows, _ = hidden_classes(400, "test")
    assert all(0.4 < accuracy(head, test_rows, coin[400:], level) < 0.6 for level in range(3))


def test_tied_classifiers_share_their_weights(rows, labels):
    head = train_head(rows, replace(QUICK, tied=True), labels=labels)
    wide = head.classifiers[-1].weight
    for width, classifier in zip(WIDTHS, head.classifiers, strict=True):
        assert torch.equal(classifier.weight, wide[:width])
    apart = train_head(rows, QUICK, labels=labels)
    assert not torch.equal(apart.classifiers[0].weight, apart.classifiers[-1].weight[:2])


def test_rows_of_few_dimensions_keep_their_similarities_in_as_many(drawn):
    rows = drawn(200, 3, "flat") @ drawn(3, 12, "plane")
    config = HeadConfig(widths=(3, 6), objective="cosines", n_steps=5, start="pca", batch_size=50)
    head = train_head(rows, config)
    assert torch.allclose(similarities(head.transform(rows, 0)), similarities(rows), atol=0.02)
    assert not head.classes
    with pytest.raises(ConfigError, match="without classes"):
        head.logits(rows)


def test_self_distillation_beats_the_components_it_starts_from(drawn):
    rows = drawn(600, 12, "normal") * torch.linspace(3, 0.5, 12) + 2
    config = HeadConfig(widths=(2, 12), objective="cosines", n_steps=600, batch_size=200, lr=1e-2)
    fresh = drawn(300, 12, "fresh") * torch.linspace(3, 0.5, 12) + 2

    def error(steps: int) -> float:
        head = train_head(rows, replace(config, n_steps=steps))
        return float(cosine_loss(head.transform(fresh), fresh, (2,), (1.0,)))

    assert error(600) < 0.9 * error(1)


def test_one_level_alone_is_an_independent_head(rows, labels):
    together = train_independent_heads(rows, QUICK, labels=labels)
    alone = train_head(rows, replace(QUICK, widths=(4,)), labels=labels)
    assert torch.equal(together.transform(rows, 1), alone.transform(rows))
    assert torch.equal(together.logits(rows, 1), alone.logits(rows))
    assert not together.prefixes


class KilledError(Exception):
    pass


@pytest.mark.parametrize("objective", ["classes", "cosines"])
@pytest.mark.parametrize("of_store", [False, True])
def test_a_training_that_was_killed_goes_on_to_the_same_bits(objective, of_store, rows, labels, tmp_path):
    config = replace(QUICK, objective=objective)
    known = {"labels": labels} if objective == "classes" else {}
    if of_store:
        options = {"path": tmp_path / "store", "dtype": "float32", "holdout_tokens": 0, "progress": False}
        rows = harvest(ArraySource(rows), [], n_tokens=len(rows), **options)
    whole = train_head(rows, config, **known)
    taken = []

    def kill(step, loss):
        taken.append(step)
        if step == 27:
            raise KilledError

    with pytest.raises(KilledError):
        train_head(rows, config, path=tmp_path / "head", progress=kill, **known)
    assert (tmp_path / "head" / "state.safetensors").is_file() and not (tmp_path / "head" / "code.json").exists()
    with pytest.raises(ConfigError, match="other settings"):
        train_head(rows, replace(config, lr=1e-4), path=tmp_path / "head", **known)
    head = train_head(rows, config, path=tmp_path / "head", progress=lambda step, loss: taken.append(step), **known)
    assert taken == [*range(1, 28), *range(21, 41)], "on from the last checkpoint"
    probe = rows.rows(0, 20) if of_store else rows[:20]
    assert torch.equal(head.transform(probe), whole.transform(probe))
    assert sorted(p.name for p in (tmp_path / "head").iterdir()) == ["code.json", "code.safetensors", "training.json"]
    assert torch.equal(load_code(tmp_path / "head").transform(probe), whole.transform(probe))
    with pytest.raises(ConfigError, match="finished code"):
        train_head(rows, config, path=tmp_path / "head", **known)


def test_rows_without_a_label_are_left_out(rows, labels):
    some = [label if i % 3 else None for i, label in enumerate(labels)]
    kept = [i for i in range(len(rows)) if i % 3]
    partly = train_head(rows, QUICK, labels=some)
    only = train_head(rows[kept], QUICK, labels=[labels[i] for i in kept])
    assert torch.equal(partly.transform(rows), only.transform(rows))


@pytest.mark.parametrize(
    ("changes", "given", "message"),
    [({}, None, "needs labels"), ({}, ["a", "b"], "2 labels were given for 96 rows"), ({}, ["a"] * 96, "at least two"),
     ({}, [None] * 96, "names? 0 classes"), ({"objective": "cosines"}, ["a"] * 96, "no use of"),
     ({"widths": (2, 13)}, ["a", "b"] * 48, "at most 12")],
)  # fmt: skip
def test_labels_and_widths_that_do_not_fit_are_refused(changes, given, message, rows):
    with pytest.raises(ConfigError, match=message):
        train_head(rows, replace(QUICK, **changes), labels=given)


@pytest.mark.parametrize(
    "changes",
    [{"objective": "cosines", "tied": True}, {"level_weights": (1.0,)}, {"n_steps": 0},
     {"level_weights": (0.0, 0.0, 0.0)}, {"lr": 0.0}, {"widths": (4, 2)}, {"batch_size": 1}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(ConfigError):
        replace(QUICK, **changes)


def test_a_loss_that_is_not_finite_ends_the_training(rows, labels):
    with pytest.raises(TrainingError, match="at step"):
        train_head(rows, replace(QUICK, lr=1e30), labels=labels)
