"""The model behind the live prompt, without a browser: opened once, refused in words, written on a token at a time."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import msae
import msae.demo
from msae.analysis.interventions.prompt import read_prompt
from msae.analysis.interventions.steering import along, continue_text
from msae.core.errors import EvaluationError
from msae_dashboards.data.tables import RunTables
from msae_dashboards.live import Continuations, LiveModel, Request, UnavailableModelError
from msae_dashboards.live.firing import Firing
from msae_dashboards.live.model import MOST_TOKENS
from msae_dashboards.pages.prompt.answers import reading, writing
from msae_dashboards.view.html import write

TEXT = "def main(argv):\n    return"


@pytest.fixture(scope="module")
def live(demo_run) -> Iterator[LiveModel]:
    model = LiveModel(demo_run.path)
    model.read(TEXT)
    yield model
    model.close()


def all_of(continuations: Continuations, *requests: Request) -> list:
    """What is written in the end."""
    while not all(written.finished for written in continuations.written(*requests)):
        continuations.resting.wait(0.05)
    return continuations.written(*requests)


def test_it_is_opened_once_whoever_asks(demo_run, live, monkeypatch) -> None:
    opened, one = [], live.opened()
    monkeypatch.setattr(LiveModel, "_opened_now", lambda self: opened.append(self) or one)
    model = LiveModel(demo_run.path)
    with ThreadPoolExecutor(5) as readers:
        found = list(readers.map(model.read, [TEXT] * 5))
    model.close()
    assert len(opened) == 1 and all(reading is found[0] for reading in found)


def test_all_of_the_model_s_work_is_done_in_one_thread(demo_run, live, monkeypatch) -> None:
    threads, one = set(), live.opened()
    monkeypatch.setattr(LiveModel, "_opened_now", lambda self: threads.add(threading.get_ident()) or one)
    model = LiveModel(demo_run.path)
    longer = Continuations._longer
    monkeypatch.setattr(
        Continuations, "_longer", lambda self, job: threads.add(threading.get_ident()) or longer(self, job)
    )
    with ThreadPoolExecutor(3) as readers:
        list(readers.map(model.read, [TEXT, "x = 1", "import os"]))
    all_of(Continuations(model), Request(text=TEXT, n_tokens=2))
    model.close()
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_a_model_that_was_closed_refuses(demo_run) -> None:
    model = LiveModel(demo_run.path)
    model.close()
    with pytest.raises(UnavailableModelError, match="ending"):
        model.read(TEXT)
    assert Continuations(model).written(Request(text=TEXT, n_tokens=1))[0].finished is False


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


@pytest.mark.parametrize("text", ["", "a b" * MOST_TOKENS], ids=["empty", "long"])
def test_texts_that_cannot_be_read_are_refused(live, text) -> None:
    with pytest.raises(EvaluationError):
        live.read(text)


def test_continuations_are_those_of_continue_text(live) -> None:
    opened = live.opened()
    plain = Request(text=TEXT, n_tokens=6)
    bent = Request(text=TEXT, n_tokens=6, latent=5, strength=60.0)
    written, steered = all_of(Continuations(live), plain, bent)
    replace = {opened.hook_name: along(opened.sae, 5, 60.0)}
    assert written.token_ids == continue_text(opened.source, TEXT, n_tokens=6).token_ids
    assert steered.token_ids == continue_text(opened.source, TEXT, n_tokens=6, replace=replace).token_ids
    assert steered.texts and not steered.refused


def test_two_texts_grow_together(live) -> None:
    pair = (Request(text=TEXT, n_tokens=8), Request(text=TEXT, n_tokens=8, latent=5, strength=60.0))
    continuations, apart = Continuations(live), []
    found = continuations.written(*pair)
    while not all(written.finished for written in found):
        apart.append(abs(len(found[0].token_ids) - len(found[1].token_ids)))
        continuations.resting.wait(0.01)
        found = continuations.written(*pair)
    assert max(apart) <= 1


def test_what_nobody_looks_for_any_more_is_left(live, monkeypatch) -> None:
    monkeypatch.setattr("msae_dashboards.live.continuations.PATIENCE", 0.0)
    continuations = Continuations(live)
    long = Request(text=TEXT, n_tokens=500, temperature=1.0)
    continuations.written(long)
    assert continuations.resting.wait(60)
    assert not continuations._jobs[long].so_far.finished


def test_a_text_without_a_token_is_refused_where_it_would_stand(live) -> None:
    (written,) = all_of(Continuations(live), Request(text="", n_tokens=3))
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
    model = LiveModel(moved.path)
    with pytest.raises(UnavailableModelError, match=r"msae dashboard .*run --model PATH") as refused:
        model.read(TEXT)
    assert "gone" in str(refused.value)
    found = reading(RunTables(moved.path), model, {"text": TEXT})
    assert "--model PATH" in write(found.left) and found.right is None
    model.close()


def test_its_new_place_can_be_given(moved) -> None:
    model = LiveModel(moved.path, str(msae.demo.model_path()))
    assert len(model.read(TEXT).texts) > 3
    model.close()


def test_nothing_is_written_until_the_slider_moves(live, demo_run) -> None:
    continuations = Continuations(live)
    found = writing(RunTables(demo_run.path), live, continuations, {"text": TEXT})
    assert found.finished and "Move the slider" in write(found.written) and continuations.resting.is_set()


CTRL_C = """
import signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell gives its background jobs none
from msae_dashboards.app.server import make_local_server
server = make_local_server(sys.argv[1], port=0)
reader = threading.Thread(target=server.dashboard.live.read, args=("def main(argv):",), daemon=True)
reader.start()
try:
    print(server.server_port, flush=True)  # from here on an interrupt may come
    server.serve_forever()
except KeyboardInterrupt:
    pass
finally:
    server.server_close()
"""


def test_ctrl_c_while_the_model_works_ends_cleanly(demo_run) -> None:
    command = [sys.executable, "-c", CTRL_C, str(demo_run.path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip().isdecimal()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
