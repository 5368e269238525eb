"""The race runs in the peers' harness, keeps what was run, and judges every level by itself."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from experiments.lib.results import read_results
from experiments.studies import token_race
from msae.core.rng import torch_stream


def report(*fvu: float):
    return {"levels": {"matched_l0": {"fvu": list(fvu)}}}


def test_the_grid_grows_only_where_the_best_rate_is_at_its_edge():
    assert token_race.beyond(1e-3, [1e-3, 2e-3, 4e-3], 2) == 5e-4
    assert token_race.beyond(2e-3, [1e-3, 2e-3, 4e-3], 2) is None
    assert token_race.beyond(4e-3, [1e-3, 2e-3, 4e-3], 2) == 8e-3
    assert token_race.best_rate({1e-3: report(0.3, 0.2), 2e-3: report(0.1, 0.3)}) == 2e-3


def test_a_level_is_reached_when_the_best_of_all_rates_is():
    peers = {"peer": {1e-3: report(0.3, 0.2), 2e-3: report(0.2, 0.3)}}
    assert token_race.verdict(report(0.2, 0.2), peers) == "peer reached at every level"
    assert token_race.verdict(report(0.25, 0.2), peers) == "peer missed at level 0"
    assert token_race.verdict(report(0.25, 0.21), peers) == "peer missed at level 0, level 1"
    assert token_race.verdict(report(0.1), {}) == "no peer was there"


def test_runs_in_which_many_latents_died_can_be_left_out():
    few, many = report(0.3) | {"dead": {"total": 1}}, report(0.2) | {"dead": {"total": 2}}
    living = token_race.alive({1e-3: few, 2e-3: many}, 100)
    assert living == {1e-3: few}
    assert token_race.verdict(report(0.25), {"peer": living}) == "peer reached at every level"
    assert token_race.verdict(report(0.25), {"peer": token_race.alive({2e-3: many}, 100)}) == "peer has none"


@pytest.mark.slow
def test_msae_runs_where_no_peer_is_and_a_report_is_made_once(tmp_path, capsys):
    generator = torch_stream(0, "test/token race")
    directions = torch.nn.functional.normalize(torch.randn(32, 16, generator=generator), dim=1)
    x = (torch.rand(4096, 32, generator=generator) < 0.06).float() @ directions
    save_file({"x": x[:3072].contiguous(), "heldout": x[3072:].contiguous()}, tmp_path / "rows.safetensors")
    race = token_race.Race(
        text=(),
        out=tmp_path,
        widths=(16, 64),
        k=2,
        batch=128,
        epochs=4,
        shares=(0.5, 1.0),
        curve=2,
        threads=1,
        peers=tmp_path,
    )
    token_race.main(race)
    assert "no peer was there" in capsys.readouterr().out
    results = read_results(tmp_path / "token_race.json")
    assert results.settings["rows found"] == 3072 and {f.case["tokens"] for f in results.figures} == {6144, 12288}
    reports = [json.loads(path.read_text()) for path in (tmp_path / "reports").iterdir()]
    half, whole = sorted(reports, key=lambda report: report["steps"])
    last = results.figure("held-out FVU at L0 = 2", width=64, tokens=12288)
    assert last.value == whole["levels"]["matched_l0"]["fvu"][-1]
    for ours, steps in ((half, 48), (whole, 96)):
        levels = ours["levels"]["matched_l0"]
        assert ours["steps"] == steps and len(ours["seconds"]) == steps
        assert levels["l0"][-1] == pytest.approx(2.0, abs=0.01)
        assert levels["fvu"] == sorted(levels["fvu"], reverse=True)
        assert [point["step"] for point in ours["curve"]] == [steps // 2, steps]
        assert ours["curve"][-1]["fvu"] == levels["fvu"]
        assert ours["dead"]["rows"] == 3072 and sum(ours["dead"]["by_level"]) == ours["dead"]["total"]
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "reports").iterdir()}
    token_race.main(race)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "reports").iterdir()} == files
