"""Dictionaries built by hand on a known forest, so that what was recovered, split and absorbed is known exactly."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

import msae
from msae.activations.synthetic import SyntheticForest, SyntheticSource
from msae.analysis.tables import Status, meanings
from msae.analysis.truth.ground_truth import against_truth, ground_truth
from msae.core.errors import ConfigError, EvaluationError, MismatchError

FOREST = SyntheticForest(d_in=16, n_roots=3, root_rate=0.3, branching=(2,), child_rate=0.7)


def tables_of(result) -> SimpleNamespace:
    return SimpleNamespace(**{name.removeprefix("truth_"): table.to_pylist() for name, table in result.tables.items()})


def perfect(widths: tuple[int, ...] = (3, 9)) -> msae.SparseAutoencoder:
    sae = msae.SparseAutoencoder(16, 9, msae.BatchTopK(k=2), msae.FixedPrefixes(widths))
    with torch.no_grad():
        sae.W_dec.copy_(FOREST.directions)
        sae.W_enc.copy_(torch.linalg.pinv(FOREST.directions))
        sae.threshold.fill_(1e-3)
    return sae.eval()


def test_the_truth_itself_scores_full_marks():
    result = ground_truth(perfect(), FOREST, n_rows=5000)
    found = tables_of(result)
    assert [row["latent"] for row in found.features] == list(range(9))
    assert [row["latent_level"] for row in found.features] == [0] * 3 + [1] * 6
    assert all(row["cosine"] == pytest.approx(1) and row["f1"] == row["coverage"] == 1 for row in found.features)
    assert all(row["rate"] == row["missed_anyway"] == row["silent"] == 0 for row in found.absorption)
    assert [(row["depth"], row["features"], row["recovered"]) for row in found.depths] == [
        (0, 3, 3),
        (1, 6, 6),
        (-1, 9, 9),
    ]
    assert all(row["mcc"] == pytest.approx(1) and row["uniqueness"] == 1 and row["split"] == 0 for row in found.depths)
    assert (result.summary["absorbed"], result.summary["live_latents"], result.summary["n_rows"]) == (0, 9, 5000)
    assert all(meanings(table) and all(meanings(table).values()) for table in result.tables.values())


def by_hand(truth: list[list[int]], fires: list[list[int]], parent: list[int], n: int = 100):
    """Feature and latent i lie along axis i; `truth` and `fires` say on which rows each is active."""

    def active(rows: list[list[int]]) -> torch.Tensor:
        out = torch.zeros(n, len(rows), dtype=torch.bool)
        for i, own in enumerate(rows):
            out[own, i] = True
        return out

    d = max(len(truth), len(fires))
    levels = torch.arange(len(fires)) // 2
    result = against_truth(torch.eye(d)[: len(fires)], levels, active(fires), torch.eye(d)[: len(truth)], active(truth),
                           torch.tensor(parent))  # fmt: skip
    return result, tables_of(result)


def span(start: int, stop: int) -> list[int]:
    return list(range(start, stop))


def test_a_parent_absorbed_on_one_child_in_part():
    # The parent fires on 0–79, child 1 on 0–39, child 2 on 40–59. The parent's latent is silent on 0–29 and on 60–64;
    # child 1's latent fires on 0–19 only, so 20 rows are absorbed and 10 merely missed.
    truth = [span(0, 80), span(0, 40), span(40, 60)]
    fires = [span(30, 60) + span(65, 80), span(0, 20), span(40, 60)]
    _, found = by_hand(truth, fires, [-1, 0, 0])
    first, second = found.absorption
    assert (first["parent"], first["child"], first["n_child"], first["silent"], first["absorbed"]) == (0, 1, 40, 30, 20)
    assert first["rate"] == 0.5 and second["rate"] == second["silent"] == 0
    assert first["missed_anyway"] == second["missed_anyway"] == 0.25  # 5 of the 20 rows without a child
    assert found.depths[0]["absorbed"] == found.depths[-1]["absorbed"] == 0.25 and found.depths[1]["absorbed"] is None
    assert found.features[0]["f1"] == pytest.approx(2 * 45 / (80 + 45))


def test_a_feature_split_between_two_latents():
    # Two latents share the feature's 60 rows 40 to 10; both stand for it, ten rows have neither.
    result, found = by_hand([span(0, 60), span(70, 90)], [span(0, 40), span(70, 90), span(40, 50)], [-1, -1])
    split, whole = found.features
    assert (split["n_latents"], split["latents"], split["overlap"]) == (2, [0, 2], 0)
    assert split["coverage"] == pytest.approx(50 / 60)
    assert split["entropy"] == pytest.approx(0.7219, abs=1e-4)  # of 4/5 and 1/5
    assert (whole["n_latents"], whole["best_f1"]) == (1, 1)
    assert found.depths[-1]["split"] == 1 and result.summary["uniqueness"] == pytest.approx(2 / 3)


def test_silence_few_rows_and_features_left_over_are_named():
    _, found = by_hand([span(0, 50), span(0, 5), []], [span(0, 50), span(0, 5)], [-1, 0, 0])
    assert [row["status"] for row in found.features] == [Status.OK, Status.FEW, Status.NEVER]
    assert found.features[2]["latent"] is found.features[2]["f1"] is found.features[2]["coverage"] is None
    assert [(row["status"], row["rate"]) for row in found.absorption] == [(Status.FEW, 0), (Status.NEVER, None)]
    assert [row["fire"] for row in found.depths] == [1, 1, 2]


def test_refusals():
    with pytest.raises(MismatchError, match="d_in = 8"):
        ground_truth(msae.SparseAutoencoder(8, 16, msae.BatchTopK(k=2)), FOREST)
    with pytest.raises(ConfigError, match="n_rows"):
        ground_truth(perfect(), FOREST, n_rows=0)
    silent = perfect()
    with torch.no_grad():
        silent.threshold.fill_(1e6)
    with pytest.raises(EvaluationError, match="not one latent fires"):
        ground_truth(silent, FOREST, n_rows=100)
    other = perfect()
    other.source = SyntheticSource(forest=FOREST, seed=1).specs["rows"]
    with pytest.raises(MismatchError, match="revision"):
        ground_truth(other, SyntheticSource(forest=FOREST))
    assert ground_truth(other, SyntheticSource(forest=FOREST, seed=1), n_rows=100).summary["n_rows"] == 100
