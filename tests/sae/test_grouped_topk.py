"""GroupedTopK: what the contract can't know of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import msae
from msae.core.errors import CheckpointError, ConfigError
from msae.sae.activation_fns.grouped_topk import GroupedTopK

NOTHING = torch.zeros(12)
ROOT = Path(__file__).parents[2]


def test_each_group_keeps_its_share_of_each_row():
    """Twelve latents in three interleaved groups, two codes each, by hand."""
    pre = torch.tensor([[9.0, 1, 1, 8, 2, 1, 7, 3, -1, 6, 4, -2], [0.0, 5, 5, -1, 5, 5, -1, 5, 5, 1, 5, 5]])
    mask = GroupedTopK(k=6, groups=3).train_mask(pre, NOTHING)
    assert mask[0].nonzero().flatten().tolist() == [0, 2, 3, 5, 7, 10]
    # Of equal ones the first; a group with one positive latent keeps one.
    assert mask[1].nonzero().flatten().tolist() == [1, 2, 4, 5, 9]


def test_one_group_is_topk_and_k_groups_are_winners_of_blocks():
    pre = torch.randn(20, 12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(GroupedTopK(k=4, groups=1).train_mask(pre, NOTHING), msae.TopK(k=4).train_mask(pre, NOTHING))
    winners = GroupedTopK(k=4, groups=4).train_mask(pre.abs(), NOTHING).view(20, 3, 4)
    assert (winners.sum(1) == 1).all()


def test_a_level_s_budget_is_what_its_groups_hold():
    """All pre-activations positive: the first m latents get min(k / groups, their number) of each group at most."""
    pre = torch.arange(12, 0, -1.0)[None]
    kept = GroupedTopK(k=8, groups=4).train_mask(pre, NOTHING)[0].cumsum(0)
    assert [kept[m - 1].item() for m in (2, 4, 6, 8, 12)] == [2, 4, 6, 8, 8]


@pytest.mark.parametrize(
    ("l0", "expected"),
    [(8, (8, 4)), (8.9, (8, 4)), (10.1, (12, 4)), (3.2, (4, 2)), (2, (2, 2)), (1.2, (1, 1)), (0, (1, 1))],
)
def test_another_l0_keeps_as_many_groups_as_it_fills(l0, expected):
    fn = GroupedTopK(k=16, groups=4).with_l0(l0)
    assert (fn.k, fn.groups) == expected


def test_a_prefix_asks_for_no_more_than_its_groups_hold():
    fn = GroupedTopK(k=16, groups=4).for_prefix(7, 7.0)
    fn.validate(7)
    assert fn.k <= 7
    with pytest.raises(CheckpointError, match="measured L0"):
        GroupedTopK(k=16, groups=4).for_prefix(7, None)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"k": 6, "groups": 4}, "multiple of groups = 4"),
        ({"k": 4, "groups": 0}, "whole number of groups"),
        ({"k": 12, "groups": 4}, "at most 8"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(settings, says):
    with pytest.raises(ConfigError, match=says):
        GroupedTopK(**settings).validate(10)


def test_the_worked_example_of_the_docs_is_the_file():
    page = (ROOT / "docs/extending/activation_fns.md").read_text()
    assert (ROOT / "msae/sae/activation_fns/grouped_topk.py").read_text() in page
