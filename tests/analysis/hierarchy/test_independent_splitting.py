from __future__ import annotations

import pytest
import torch

from msae.analysis.all_measurements import IndependentSplitting, Splitting
from msae.analysis.sample import join_saes
from msae.analysis.tables import Status, meanings


def reading(build, latents: list[list[int]], n: int):
    """An SAE over rows of `n` numbers whose latent j fires where one of the numbers in `latents[j]` does."""
    rows = torch.zeros(len(latents), n)
    for latent, numbers in enumerate(latents):
        rows[latent, numbers] = 1
    return build.sae_of(torch.nn.functional.normalize(rows, dim=1), rows, (len(latents),))


def test_by_hand(build):
    # Number 0 fires on 80 rows, 1 on 40 of them, 2 on 20 of the others; 3 fires apart, on 50.
    x = torch.zeros(400, 5)
    x[:80, 0] = x[:40, 1] = x[40:60, 2] = 1
    x[100:150, 3] = 1
    # Narrow: latent 0 reads number 0, latent 1 number 3. Wide: a silent one, two children of latent 0, a copy of 1.
    narrow, wide = reading(build, [[0], [3]], 5), reading(build, [[4], [1], [3], [2]], 5)
    result = IndependentSplitting().run(join_saes([narrow, wide], build.in_documents(build.mixed(x))))
    split, copied = result.tables["splitting_independent"].to_pylist()
    assert (split["parent"], split["children"], split["n_parent"]) == (0, [1, 3], 80)
    assert split["coverage"] == 0.75 and split["overlap"] == 0
    assert split["shares"] == pytest.approx([2 / 3, 1 / 3])
    assert (copied["parent"], copied["children"], copied["coverage"]) == (1, [2], 1)
    (row,) = result.tables["splitting_independent_levels"].to_pylist()
    assert (row["status"], row["n_parents"], row["with_children"], row["split"], row["edges"]) == (
        Status.OK,
        2,
        2,
        1,
        3,
    )
    assert row["coverage"] == 0.875 and row["children_per_parent"] == 1.5
    assert result.summary["widths"] == "2, 4"
    assert all(meanings(table) and all(meanings(table).values()) for table in result.tables.values())


def test_bands_of_a_nested_sae_taken_apart_split_as_they_did(forest, build):
    """The first band and the second as two SAEs: the same firing, so the same figures as inside the nested SAE."""
    nested = forest.collected
    inner = nested.sae.truncate(0)
    outer = build.sae_of(nested.sae.W_dec[16:].detach(), nested.sae.W_enc.T[16:].detach(), (32,))
    apart = IndependentSplitting().run(join_saes([inner, outer], nested.rows))
    together = Splitting().run(nested)
    (mine,) = apart.tables["splitting_independent_levels"].to_pylist()
    (theirs,) = together.tables["splitting_levels"].to_pylist()
    same = ("n_parents", "with_children", "split", "edges", "coverage", "overlap", "entropy", "coverage_error")
    assert {name: mine[name] for name in same} == pytest.approx({name: theirs[name] for name in same})
    assert mine["null_coverage"] == pytest.approx(theirs["null_coverage"], abs=0.02)


def test_too_few_tokens_and_silence_are_named(build):
    x = torch.zeros(100, 4)
    x[:3, 0] = 1
    x[::2, 1] = 1
    wide, rare = reading(build, [[0], [1], [2]], 4), reading(build, [[0]], 4)
    rows = build.in_documents(x)
    few = IndependentSplitting().run(join_saes([rare, wide], rows)).tables["splitting_independent_levels"].to_pylist()
    assert [row["status"] for row in few] == [Status.FEW] and few[0]["coverage"] is None
    half = IndependentSplitting().run(join_saes([reading(build, [[1]], 4), wide, rare], rows))
    statuses = [row["status"] for row in half.tables["splitting_independent_levels"].to_pylist()]
    assert statuses == [Status.OK, Status.FEW, Status.FEW] and Status.NEVER not in statuses
