"""Classifiers of every level, and where rows may stop, on rows whose answer is known."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from msae.core.errors import ConfigError, TrainingError
from msae.core.rng import torch_stream
from msae.nested import HeadConfig, PcaPrefix, RawPrefix, train_head, train_independent_heads
from msae.nested.class_rows import LabelledRows
from msae.nested.classification import Judged, LevelClassifiers
from msae.nested.early_exit import NEVER, EarlyExit, best_at, choose_thresholds, lowest_first
from msae.nested.softmax_regression import SoftmaxRegression, fit_chosen

NAMES = ("easy left", "easy right", "hard down", "hard up")


def mixed(n: int, name: str) -> LabelledRows:
    """Four classes: two lie far apart on the first axis, two together on it and apart on the second only."""
    generator = torch_stream(0, f"test/classification/{name}")
    number = torch.arange(n) % 4
    x = 0.05 * torch.randn(n, 2, generator=generator)
    x[:, 0] += torch.tensor([-2.0, 2.0, 0.0, 0.0])[number]
    x[:, 1] += torch.tensor([0.0, 0.0, -1.0, 1.0])[number]
    return LabelledRows(x, tuple(NAMES[i] for i in number))


def given(*, widths, label, answer, confidence, prefixes=True) -> Judged:
    """Answers made up."""
    return Judged(
        widths=widths,
        bytes=tuple(4.0 * width for width in widths),
        prefixes=prefixes,
        classes=tuple("abcde"),
        label=label,
        answer=answer,
        confidence=confidence,
    )


@pytest.fixture(scope="module")
def judged():
    fitted = LevelClassifiers.fit(RawPrefix(2, (1, 2)), mixed(400, "train"), mixed(200, "valid"))
    return {name: fitted.judge(mixed(200, name)) for name in ("valid", "test")}


def test_the_level_is_as_good_as_what_it_can_see(judged):
    test = judged["test"]
    assert test.classes == NAMES and test.accuracy[1] == 1.0
    assert test.accuracy[0] == pytest.approx(0.75, abs=0.08), "the two hard classes are told apart by chance"
    assert test.smallest_within(0.0) == 2 and test.smallest_within(0.5) == 1


def test_easy_rows_stop_and_hard_ones_go_on(judged):
    chosen = EarlyExit.of(judged["test"], choose_thresholds(judged["valid"], tolerance=0.0))
    assert chosen.accuracy > 0.98 and chosen.stops[0] == pytest.approx(0.5, abs=0.02)
    out = EarlyExit.of(judged["test"], (0.75,))
    assert out.accuracy == 1.0 and out.stops == [0.5, 0.5] and out.expected_width == 1.5
    assert out.expected_bytes == 6.0
    classes = out.by_class()
    assert [row["class"][:4] for row in classes] == ["hard", "hard", "easy", "easy"]
    assert [row["expected_width"] for row in classes] == [2, 2, 1, 1]
    # 50 of 200 rows, widths 1 and 2 half and half: sd ½, error ½ √(150 / (50 · 199)), distance ½.
    assert classes[0]["z"] == pytest.approx((50 * 199 / 150) ** 0.5)
    assert all(row["accuracy"][1] == row["exit_accuracy"] == 1 for row in classes)
    assert sum(row["accuracy"][0] for row in classes[:2]) == pytest.approx(1, abs=0.3), "one answer for both"


def test_levels_say_where_rows_stop(judged):
    first, last = EarlyExit.of(judged["test"], (0.75,)).by_level()
    assert (first["width"], first["bytes"], first["stops"], first["threshold"]) == (1, 4.0, 0.5, 0.75)
    assert (last["level"], last["accuracy"], last["threshold"]) == (1, 1.0, None)


def test_confidence_that_says_nothing_stops_nobody():
    right = torch.tensor([[True, False] * 10, [True, True] * 10])
    label = torch.zeros(20, dtype=torch.long)
    judged = given(widths=(4, 8), label=label, answer=torch.where(right, 0, 1), confidence=torch.full((2, 20), 0.7))
    assert choose_thresholds(judged, tolerance=0.1) == (NEVER,)
    out = EarlyExit.of(judged, (NEVER,))
    assert out.expected_width == 8 and out.by_class()[0]["z"] is None and out.by_level()[0]["threshold"] is None
    # With half of the rows allowed to be wrong all of them stop, and half are.
    (threshold,) = choose_thresholds(judged, tolerance=0.5)
    assert threshold == pytest.approx(0.7) and EarlyExit.of(judged, (threshold,)).accuracy == 0.5


def drawn(seed: int, n: int = 300) -> Judged:
    """Answers right seven times in ten, whatever the row, with confidences that say nothing of it."""
    generator = torch_stream(seed, "test/thresholds")
    label = torch.randint(5, (n,), generator=generator)
    answer = torch.where(torch.rand(4, n, generator=generator) < 0.7, label, (label + 1) % 5)
    confidence = torch.rand(4, n, generator=generator).mul(20).round() / 20
    return given(widths=(1, 2, 4, 8), label=label, answer=answer, confidence=confidence)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("tolerance", [0.0, 0.02, 0.2])
def test_on_the_validation_rows_no_more_is_lost_than_allowed(seed, tolerance):
    judged = drawn(seed)
    out = EarlyExit.of(judged, choose_thresholds(judged, tolerance))
    assert out.accuracy >= judged.accuracy[-1] - tolerance - 1e-9
    assert sum(out.stops) == pytest.approx(1) and 1 <= out.expected_width <= 8
    simpler = EarlyExit.of(judged, lowest_first(judged, tolerance))
    assert simpler.accuracy >= judged.accuracy[-1] - tolerance - 1e-9 and out.expected_width <= simpler.expected_width


def test_an_error_is_worth_its_price():
    """Ten rows; the first level is right on the four it is sure of, and wrong on the others."""
    label = torch.zeros(10, dtype=torch.long)
    answer = torch.stack([torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1, 1]), label])
    confidence = torch.stack([torch.linspace(0.95, 0.5, 10), torch.full((10,), 0.9)])
    judged = given(widths=(1, 9), label=label, answer=answer, confidence=confidence)
    # Going on costs 8 numbers: worth it for an error priced above that, and for no cheaper one.
    assert best_at(judged, 9.0) == (pytest.approx(0.80),) and best_at(judged, 7.0) == (pytest.approx(0.50),)
    out = EarlyExit.of(judged, choose_thresholds(judged, 0.0))
    assert out.accuracy == 1 and out.expected_width == pytest.approx(0.4 * 1 + 0.6 * 9)


def test_errors_are_spent_where_they_save_most():
    """Level 0 is right on half of the rows and level 1 on all but one: an error at level 0 saves a number more."""
    n = 100
    label = torch.zeros(n, dtype=torch.long)
    answer = torch.zeros(3, n, dtype=torch.long)
    answer[0, 50:], answer[1, 99] = 1, 1
    confidence = torch.linspace(0.9, 0.5, n).repeat(3, 1)
    judged = given(widths=(1, 2, 64), label=label, answer=answer, confidence=confidence)
    greedy, chosen = (EarlyExit.of(judged, f(judged, 0.01)) for f in (lowest_first, choose_thresholds))
    assert greedy.stops == [0.51, 0.48, 0.01] and greedy.accuracy == 0.99
    assert chosen.stops == [0.5, 0.5, 0.0] and chosen.accuracy == 0.99


def test_classes_that_are_like_any_other_are_a_standard_error_apart():
    z = [row["z"] for seed in range(60) for row in EarlyExit.of(drawn(seed), (0.8, 0.8, 0.8)).by_class()]
    assert len(z) == 300
    values = torch.tensor(z)
    assert abs(float(values.mean())) < 0.2 and float(values.std()) == pytest.approx(1, abs=0.15)


def test_where_levels_are_no_prefixes_every_one_looked_at_is_read():
    judged = drawn(0)
    apart = given(**{n: getattr(judged, n) for n in ("widths", "label", "answer", "confidence")}, prefixes=False)
    never = (NEVER, NEVER, NEVER)
    assert EarlyExit.of(judged, never).expected_width == 8 and EarlyExit.of(apart, never).expected_width == 15
    assert EarlyExit.of(apart, never).expected_bytes == 60 and EarlyExit.of(apart, (0.0, 0.0, 0.0)).expected_width == 1


def test_a_regression_is_at_the_bottom_of_its_loss(rows, labels):
    label = torch.tensor([name == "high" for name in labels]).long()
    l2 = 1e-2
    classifier = SoftmaxRegression(rows, label, 2).fit(l2)
    W = (classifier.weight.double() * rows.double().std(0, correction=0)[:, None]).requires_grad_()
    b = classifier.bias.double().requires_grad_()
    x = rows.double() / rows.double().std(0, correction=0)
    (F.cross_entropy(x @ W + b, label) + 0.5 * l2 * W.square().sum()).backward()
    assert W.grad.abs().max() < 1e-4 and b.grad.abs().max() < 1e-4


def test_without_a_column_that_varies_the_answer_is_how_often_each_class_is():
    label = torch.tensor([0] * 10 + [1] * 30)
    classifier = SoftmaxRegression(torch.ones(40, 3), label, 2).fit(1e-3)
    assert torch.equal(classifier.weight, torch.zeros(3, 2))
    assert torch.allclose(classifier.logits(torch.ones(1, 3)).softmax(1), torch.tensor([[0.25, 0.75]]), atol=1e-4)


def test_scale_and_an_earlier_fit_change_nothing(rows, labels):
    label = torch.tensor([name == "high" for name in labels]).long()
    fresh = SoftmaxRegression(rows, label, 2).fit(1e-3)
    again = SoftmaxRegression(rows * 100, label, 2)
    again.fit(1.0)
    assert torch.allclose(fresh.logits(rows).softmax(1), again.fit(1e-3).logits(rows * 100).softmax(1), atol=1e-3)


def test_the_penalty_is_the_one_that_is_right_most_often():
    generator = torch_stream(0, "test/penalty")
    x = torch.randn(40, 60, generator=generator)  # more columns than rows: the label is one of them and noise
    label = (x[:, 0] > 0).long()
    valid = torch.randn(400, 60, generator=generator)
    valid_label = (valid[:, 0] > 0).long()
    chosen = fit_chosen(x, label, 2, valid, valid_label, strengths=(1e-4, 1.0))

    def right(classifier):
        return int((classifier.logits(valid).argmax(1) == valid_label).sum())

    apart = {l2: right(SoftmaxRegression(x, label, 2).fit(l2)) for l2 in (1e-4, 1.0)}
    assert abs(apart[1e-4] - apart[1.0]) > 5 and right(chosen) == pytest.approx(max(apart.values()), abs=1)


def test_a_regression_without_an_end_is_refused(rows, labels):
    label = torch.tensor([name == "high" for name in labels]).long()
    with pytest.raises(ConfigError, match="without a penalty"):
        SoftmaxRegression(rows, label, 2).fit(0.0)
    with pytest.raises(TrainingError, match="did not converge"):
        SoftmaxRegression(rows.clone().fill_(float("nan")), label, 2).fit(1.0)


def test_heads_bring_their_own_classifiers(rows, labels):
    config = HeadConfig(widths=(2, 4), n_steps=30, batch_size=32)
    data = LabelledRows(rows, tuple(labels))
    for trained in (train_head, train_independent_heads):
        head = trained(rows, config, labels=labels)
        own = LevelClassifiers.trained(head).judge(data)
        for level in range(2):
            assert torch.equal(own.answer[level], head.logits(rows, level).argmax(1))
    distilled = train_head(rows, HeadConfig(widths=(2, 4), n_steps=2, objective="cosines"))
    with pytest.raises(ConfigError, match="without classes"):
        LevelClassifiers.trained(distilled)


def test_every_code_can_be_classified_with(code, rows, labels):
    data = LabelledRows(rows, tuple(labels))
    judged = LevelClassifiers.fit(code, data, data).judge(data)
    assert judged.answer.shape == (3, len(rows)) and min(judged.accuracy) > 0.4
    assert judged.read_widths == ([2, 4, 8] if code.prefixes else [2, 6, 14])


def test_rows_are_split_without_overlap(rows):
    data = LabelledRows(rows, tuple(str(i) for i in range(len(rows))))
    first, rest = data.split(0.25, seed=1)
    assert (len(first), len(rest)) == (24, 72) and {*first.labels, *rest.labels} == set(data.labels)
    assert torch.equal(first.rows[3], rows[int(first.labels[3])])
    assert data.split(0.25, seed=1)[0].labels == first.labels != data.split(0.25, seed=2)[0].labels
    for share in (0.0, 1.0):
        with pytest.raises(ConfigError, match="on both sides"):
            data.split(share, seed=0)


def test_labels_that_do_not_fit_are_refused(rows, labels):
    with pytest.raises(ConfigError, match="one a row"):
        LabelledRows(rows, tuple(labels[:5]))
    with pytest.raises(ConfigError, match="5 labels were given for 96 rows"):
        LabelledRows.of(rows, labels[:5])
    with pytest.raises(ConfigError, match="not one of 96 rows"):
        LabelledRows.of(rows, [None] * 96)
    assert len(LabelledRows.of(rows, [None, *labels[1:]])) == 95
    data = LabelledRows(rows, tuple(labels))
    fitted = LevelClassifiers.fit(PcaPrefix.fit(rows, (2,)), data, data)
    with pytest.raises(ConfigError, match="'middle' was not among"):
        fitted.judge(LabelledRows(rows, ("middle",) * len(rows)))
    with pytest.raises(ConfigError, match="at least two"):
        LevelClassifiers.fit(PcaPrefix.fit(rows, (2,)), LabelledRows(rows, ("one",) * len(rows)), data)
    with pytest.raises(ConfigError, match="one a level but the last"):
        EarlyExit.of(fitted.judge(data), (0.5,))
