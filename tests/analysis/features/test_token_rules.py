from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msae.analysis.features.token_rules import Condition, Rule, Score, TokenPlaces, best_tokens, fit_rule
from msae.analysis.sample import Origin

WORDS = ["`a`", "`b`", "`c`", "`d`"]
N_VOCAB = 4
NO_KINDS = np.zeros((8, N_VOCAB + 2))


def origin_of(*passages: list[int], opens: list[int] | None = None) -> Origin:
    """Passages that are documents; `opens`: rows with which a context begins."""
    lengths = [len(passage) for passage in passages]
    return Origin(
        token_id=np.concatenate(passages).astype(np.int32),
        document=np.repeat(np.arange(len(passages)), lengths).astype(np.int32),
        offset=np.concatenate([np.arange(length) for length in lengths]).astype(np.int32),
        names=[str(i) for i in range(len(passages))],
        opens_context=None if opens is None else np.isin(np.arange(sum(lengths)), opens),
    )


def places_of(*passages: list[int]) -> TokenPlaces:
    origin = origin_of(*passages)
    return TokenPlaces.of(origin, np.ones(len(origin.token_id), bool), N_VOCAB)


def test_a_place_outside_the_passage_holds_no_token():
    places = places_of([0, 1], [2, 3, 0])
    assert places.at.tolist() == [[0, 1, 2, 3, 0], [4, 0, 4, 2, 3], [4, 4, 4, 4, 2]]
    assert places.base.sum(axis=1).tolist() == [5, 5, 5]


def test_rows_that_were_not_chosen_still_stand_before_others():
    places = TokenPlaces.of(origin_of([0, 1, 2]), np.array([False, True, True]), N_VOCAB)
    assert places.at.tolist() == [[1, 2], [0, 1], [4, 0]]


def test_where_a_condition_holds():
    places = places_of([0, 1, 0, 2, 0])
    assert sorted(places.where(Condition(0, (0, 2)))) == [0, 2, 3, 4]
    assert sorted(places.where(Condition(1, (1, 4)))) == [0, 2]
    assert places.meets(Condition(1, (1,)), np.array([0, 2])).tolist() == [False, True]


def test_a_score_by_hand():
    places = places_of([0, 1, 0, 2, 0])
    rule = Rule((Condition(0, (0,)), Condition(1, (1, 2))))  # rows 2 and 4
    score = places.score(rule, np.array([2, 3]))
    assert score == Score(fires=2, predicted=2, right=1)
    assert (score.precision, score.recall, score.f1) == (0.5, 0.5, 0.5)
    assert places.score(Rule((Condition(0, (3,)),)), np.array([2])).precision is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=6), st.integers(1, 3))
def test_best_tokens_is_the_best_of_all_sets(counts, most):
    seen = np.array([right for right, _ in counts])
    base = np.array([right + wrong for right, wrong in counts])
    n_fires = int(seen.sum()) + 2
    sets = [list(chosen) for size in range(1, most + 1) for chosen in combinations(range(len(counts)), size)]
    best = max(2 * seen[chosen].sum() / (base[chosen].sum() + n_fires) for chosen in sets)
    f1, chosen = best_tokens(seen, base, n_fires, most)
    assert f1 == pytest.approx(best)
    assert len(chosen) <= most


def test_the_token_before_is_found():
    passage = np.random.default_rng(0).integers(0, 3, 400).tolist()
    places = places_of(passage)
    fires = np.flatnonzero(places.at[1] == 2)
    rule = fit_rule(places, fires, NO_KINDS, most_tokens=2, least_gain=0.03)
    assert rule == Rule((Condition(1, (2,)),))
    assert places.score(rule, fires).f1 == 1
    assert rule.text(WORDS) == "a token after `c`"


def test_a_second_condition_is_found_where_one_does_not_do():
    passage = np.random.default_rng(1).integers(0, 3, 400).tolist()
    places = places_of(passage)
    fires = np.flatnonzero((places.at[0] == 0) & np.isin(places.at[2], (1, 2)))
    rule = fit_rule(places, fires, NO_KINDS, most_tokens=2, least_gain=0.03)
    assert [(c.back, set(c.allowed)) for c in rule.conditions] == [(0, {0}), (2, {1, 2})]
    assert rule.text(WORDS) in {"`a` two tokens after `b` or `c`", "`a` two tokens after `c` or `b`"}


def test_a_kind_is_taken_where_few_tokens_do_not_do():
    kinds = NO_KINDS.copy()
    kinds[3, :3] = 1
    places = places_of(np.random.default_rng(2).integers(0, 4, 400).tolist())
    fires = np.flatnonzero(places.at[0] < 3)
    rule = fit_rule(places, fires, kinds, most_tokens=1, least_gain=0.03)
    assert rule == Rule((Condition(0, (0, 1, 2), "punctuation"),))
    assert rule.text(WORDS) == "punctuation"


def test_nothing_seen_twice_is_no_rule():
    assert fit_rule(places_of([0, 1, 2, 3]), np.array([1, 3]), NO_KINDS, most_tokens=2, least_gain=0.0) is None


def test_a_place_before_a_context_holds_its_start_and_none_of_the_tokens_before():
    origin = origin_of([0, 1, 2, 3], [0, 1], opens=[0, 2])
    places = TokenPlaces.of(origin, np.ones(6, bool), N_VOCAB)
    assert places.at[1].tolist() == [5, 0, 5, 2, 4, 0]
    assert places.at[2].tolist() == [5, 5, 5, 5, 4, 4]


@pytest.mark.parametrize(
    ("opens", "back", "says"),
    [
        (None, 1, "the first token of a passage"),
        (None, 2, "one of the first two tokens of a passage"),
        (range(0, 15, 3), 1, "the first token of a context"),
        (range(0, 15, 3), 2, "one of the first two tokens of a context"),
    ],
)
def test_a_start_can_be_a_condition(opens, back, says):
    origin = origin_of(*[[0, 1, 0]] * 5, opens=opens)
    places = TokenPlaces.of(origin, np.ones(15, bool), N_VOCAB)
    rule = fit_rule(places, np.flatnonzero(places.at[back] >= N_VOCAB), NO_KINDS, most_tokens=1, least_gain=0.03)
    assert rule.text(WORDS) == says


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ([Condition(1, (2, 5))], "a token after `c` or as the first token of a context"),
        ([Condition(0, (1,)), Condition(1, (5,))], "`b` as the first token of a context"),
        ([Condition(0, (1,)), Condition(2, (4, 5))], "`b` as one of the first two tokens of a passage or context"),
        ([Condition(1, (2,)), Condition(2, (5,))], "a token after `c` and as one of the first two tokens of a context"),
    ],
)
def test_starts_in_words(conditions, says):
    assert Rule(tuple(conditions)).text(WORDS) == says


def test_a_latent_of_context_starts_is_explained_as_that_and_not_by_the_tokens_there():
    """Contexts of 8 tokens: `c` follows `d` mostly across a border, which the model cannot know."""
    draw = np.random.default_rng(5)
    tokens = draw.integers(0, 4, 800)
    opens = np.arange(0, 800, 8)
    tokens[opens] = np.where(draw.random(100) < 0.8, 2, tokens[opens])
    tokens[opens[1:] - 1] = 3
    rows = np.ones(800, bool)
    seen = TokenPlaces.of(origin_of(tokens.tolist(), opens=opens.tolist()), rows, N_VOCAB)
    rule = fit_rule(seen, opens, NO_KINDS, most_tokens=2, least_gain=0.03)
    assert rule.text(WORDS) == "the first token of a context" and seen.score(rule, opens).f1 == 1
    unknown = TokenPlaces.of(origin_of(tokens.tolist()), rows, N_VOCAB)
    wrong = fit_rule(unknown, opens, NO_KINDS, most_tokens=2, least_gain=0.03)
    assert "context" not in wrong.text(WORDS) and unknown.score(wrong, opens).f1 < 0.8
