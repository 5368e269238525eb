"""The model behind the live prompt, without a browser: opened once, refused in words, written on a token at a time."""

from __future__ import annotations

import json
import shutil
import threading
import time

import pytest

import msae
import msae.demo
from msae.analysis.interventions.prompt import read_prompt
from msae.analysis.interventions.steering import along, continue_text
from msae.core.errors import EvaluationError
from msae_dashboards.live import Continuations, LiveModel, UnavailableModelError, Wish
from msae_dashboards.live.firing import Firing
from msae_dashboards.live.model import LONGEST_TEXT
from msae_dashboards.pages import prompt
from msae_dashboards.tables import RunTables
from msae_dashboards.to_html import to_html

TEXT = "def main(argv):\n    return"


@pytest.fixture(scope="module")
def live(demo_run) -> LiveModel:
    model = LiveModel(demo_run)
    model.opened()
    return model


def all_of(continuations: Continuations, *wishes: Wish) -> list:
    for _ in range(600):
        found = continuations.written(*wishes)
        if all(written.finished for written in found):
            return found
        time.sleep(0.05)
    raise AssertionError("not written in 30 seconds")


def test_it_is_opened_once_whoever_asks(demo_run, live, monkeypatch) -> None:
    opened, one = [], live.opened()
    monkeypatch.setattr(LiveModel, "_opened_now", lambda self: opened.append(self) or time.sleep(0.1) or one)
    model = LiveModel(demo_run)
    threads = [threading.Thread(target=model.opened) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1 and model.opened() is one


def test_a_reading_is_that_of_read_prompt(live, demo_run) -> None:
    read = live.read(TEXT)
    opened = live.opened()
    again = read_prompt(opened.source, opened.sae, TEXT)
    assert read.texts == again.texts and read.fvu == again.fvu
    assert live.read(TEXT) is read
    firing = Firing(read, RunTables(demo_run.path).features().level)
    dense = again.codes.dense()
    assert firing.l0(48) == pytest.approx(float((dense[:, :48] != 0).sum(1).float().mean()))
    for level, (low, high) in enumerate([(0, 16), (16, 48), (48, 128)]):
        total = dense[:, low:high].sum(0)
        assert {f.latent: f.total for f in firing.of_level(level)} == pytest.approx(
            {low + j: float(total[j]) for j in total.nonzero()[:, 0].tolist()}
        )
        here = firing.at(2, level)
        assert [value for _, value in here] == sorted((float(v) for v in dense[2, low:high] if v), reverse=True)
    strongest = firing.strongest(2, (0, 1, 2))
    assert strongest == int(dense[2].argmax())


@pytest.mark.parametrize("text", ["", "x" * (LONGEST_TEXT + 1)], ids=["empty", "long"])
def test_texts_that_cannot_be_read_are_refused(live, text) -> None:
    with pytest.raises(EvaluationError):
        live.read(text)


def test_continuations_are_those_of_continue_text(live) -> None:
    opened = live.opened()
    plain = Wish(text=TEXT, n_tokens=6)
    bent = Wish(text=TEXT, n_tokens=6, latent=5, strength=60.0)
    written, steered = all_of(Continuations(live.opened), plain, bent)
    replace = {opened.hook_name: along(opened.sae, 5, 60.0)}
    assert written.token_ids == continue_text(opened.source, TEXT, n_tokens=6).token_ids
    assert steered.token_ids == continue_text(opened.source, TEXT, n_tokens=6, replace=replace).token_ids
    assert steered.texts and not steered.refused


def test_what_nobody_asks_for_any_more_is_left(live, monkeypatch) -> None:
    monkeypatch.setattr("msae_dashboards.live.continuations.PATIENCE", 0.0)
    continuations = Continuations(live.opened)
    long = Wish(text=TEXT, n_tokens=500, temperature=1.0)
    continuations.written(long)
    for _ in range(100):
        if continuations._thread is None:
            break
        time.sleep(0.05)
    assert continuations._thread is None
    assert not continuations._jobs[long].so_far.finished


def test_a_text_without_a_token_is_refused_where_it_would_stand(live) -> None:
    (written,) = all_of(Continuations(live.opened), Wish(text="", n_tokens=3))
    assert "no token" in written.refused


@pytest.fixture
def moved(demo_run, tmp_path) -> msae.Run:
    """The run, whose model has gone."""
    path = tmp_path / "run"
    shutil.copytree(demo_run.path, path)
    config = json.loads((path / "sae" / "cfg.json").read_text())
    text = json.dumps(config).replace(str(msae.demo.model_path()), str(tmp_path / "gone"))
    assert text != json.dumps(config)
    (path / "sae" / "cfg.json").write_text(text)
    return msae.Run.open(path)


def test_a_model_that_is_not_to_be_had_is_refused_in_words(moved) -> None:
    with pytest.raises(UnavailableModelError, match=r"msae dashboard .*run --model PATH") as refused:
        LiveModel(moved).opened()
    assert "gone" in str(refused.value)
    tables = RunTables(moved.path)
    left, right = prompt.reading(tables, _refusing(moved), {"text": TEXT})
    assert "--model PATH" in to_html(left) and right is None


def test_its_new_place_can_be_given(moved) -> None:
    model = LiveModel(moved, str(msae.demo.model_path()))
    assert len(model._read_now(TEXT).texts) > 3


def _refusing(run: msae.Run) -> LiveModel:
    model = LiveModel(run)
    with pytest.raises(UnavailableModelError):
        model.opened()
    return model
