"""A run folder: one writer, nothing lost by replacing it, nothing left by what was refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import msae
from msae.core.errors import BusyError, CheckpointError, ConfigError, MsaeError, TrainingError
from msae.core.replacing import beside
from msae.runs.contents import foreign
from msae.training import Run, Trainer
from msae.training.loggers import JsonlLogger

CONFIG = msae.TrainConfig(n_tokens=20 * 256, batch_size=256, checkpoint_every=5 * 256, log_every=2, lr=2e-3)


def new_sae(**settings):
    shape = {"d_in": 24, "d_sae": 64, "activation_fn": msae.BatchTopK(k=3), "nesting": msae.FixedPrefixes((16, 64))}
    return msae.SparseAutoencoder(**{**shape, **settings})


def trained(store, path, config=CONFIG, sae=None, **settings):
    return msae.train(sae or new_sae(), store, config, path, progress=False, **settings)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class StoppedError(Exception):
    pass


def stop_at(monkeypatch, step, action=None):
    """From now on training stops, or does something else, before that step."""
    real = Trainer.step

    def stopping(self, x):
        if self.steps_done == step:
            if action is None:
                raise StoppedError
            action()
        return real(self, x)

    monkeypatch.setattr(Trainer, "step", stopping)


@pytest.mark.parametrize("replace", [False, True])
def test_a_run_in_training_has_one_writer(store, tmp_path, monkeypatch, replace):
    tried = []

    def meanwhile():
        with pytest.raises(BusyError, match="another process is training, analyzing or replacing"):
            trained(store, tmp_path / "run", replace=replace)
        tried.append(True)

    stop_at(monkeypatch, 7, meanwhile)
    run = trained(store, tmp_path / "run")
    assert tried == [True]
    assert [row["step"] for row in run.metrics()] == list(range(2, 21, 2))


def test_a_run_that_is_analyzed_is_not_replaced(store, tmp_path, monkeypatch):
    from msae.studies import evaluate_run

    run, real, tried = trained(store, tmp_path / "run"), evaluate_run.evaluate_rows, []

    def meanwhile(*arguments, **settings):
        with pytest.raises(BusyError, match="another process"):
            trained(store, tmp_path / "run", replace=True)
        with pytest.raises(BusyError, match="another process"):
            evaluate_run.evaluate_run(run, n_tokens=100, progress=False)
        tried.append(True)
        return real(*arguments, **settings)

    monkeypatch.setattr(evaluate_run, "evaluate_rows", meanwhile)
    evaluate_run.evaluate_run(run, n_tokens=100, progress=False)
    assert tried and run.folder.levels.is_file()


def test_a_store_that_is_trained_on_is_not_replaced(store, tmp_path, monkeypatch):
    from msae.activations.store_folder import harvested_into

    copy = msae.ActivationStore.open(shutil.copytree(store.path, tmp_path / "store"))

    def meanwhile():
        with (
            pytest.raises(BusyError, match="another process is harvesting into or reading from"),
            harvested_into(copy.path, [""], replace=True, goes_on=lambda root: False),
        ):
            pass

    stop_at(monkeypatch, 3, meanwhile)
    trained(copy, tmp_path / "run")
    copy.verify()


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"config": msae.TrainConfig(n_tokens=5120, batch_size=256, lr=1e30)}, TrainingError),
        ({"sae": msae.SparseAutoencoder(24, 64, msae.ReLU(l1_coefficient=1e30))}, MsaeError),
        ({"sae": msae.SparseAutoencoder(12, 64, msae.TopK(k=3))}, ConfigError),
    ],
    ids=["diverges", "all dead", "another width"],
)
def test_what_fails_leaves_the_run_it_was_to_replace_and_nothing_else(store, tmp_path, settings, refused):
    trained(store, tmp_path / "run")
    before = contents(tmp_path)
    with pytest.raises(refused):
        trained(store, tmp_path / "run", replace=True, **settings)
    assert contents(tmp_path) == before
    with pytest.raises(refused):
        trained(store, tmp_path / "new", **settings)
    assert contents(tmp_path) == before, "a run that never got to a figure stands in nobody's way"


def test_a_replacement_that_was_stopped_is_gone_on_with(store, tmp_path, monkeypatch):
    other = msae.TrainConfig(n_tokens=20 * 256, batch_size=256, checkpoint_every=5 * 256, log_every=2, lr=1e-3)
    whole = trained(store, tmp_path / "whole", other)
    trained(store, tmp_path / "run")
    before = contents(tmp_path / "run")
    with monkeypatch.context() as patch:
        stop_at(patch, 12)
        with pytest.raises(StoppedError):
            trained(store, tmp_path / "run", other, replace=True)
    assert contents(tmp_path / "run") == before
    assert Run(beside(tmp_path / "run")).metrics()[-1]["step"] == 12
    run = trained(store, tmp_path / "run", other, replace=True)
    assert torch.equal(run.sae.W_dec, whole.sae.W_dec) and run.train_config == other
    assert [row["step"] for row in run.metrics()] == [row["step"] for row in whole.metrics()]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["run", "whole"]


def test_a_replacement_of_other_settings_begins_anew(store, tmp_path, monkeypatch):
    trained(store, tmp_path / "run")
    with monkeypatch.context() as patch:
        stop_at(patch, 12)
        with pytest.raises(StoppedError):
            trained(store, tmp_path / "run", replace=True)
    shorter = msae.TrainConfig(n_tokens=8 * 256, batch_size=256, log_every=4)
    run = trained(store, tmp_path / "run", shorter, replace=True)
    assert [row["step"] for row in run.metrics()] == [4, 8]
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "acts/manifest.json", "results/mine.csv", "sae/other.bin", "independent/x/y", "html/mine.html"],
)
def test_files_of_its_owner_are_not_removed_with_a_run(store, tmp_path, name):
    run = trained(store, tmp_path / "run")
    assert foreign(run.folder) == []
    (run.path / name).parent.mkdir(parents=True, exist_ok=True)
    (run.path / name).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=f"also holds {name.split('/')[0]}.*move it away"):
        trained(store, tmp_path / "run", replace=True)
    assert contents(tmp_path) == before


def test_a_store_inside_the_run_is_not_replaced_with_it(store, tmp_path):
    run = trained(store, tmp_path / "run")
    inside = msae.ActivationStore.open(shutil.copytree(store.path, run.path / "acts"))
    with pytest.raises(ConfigError, match="also holds acts, which no run has"):
        trained(inside, run.path, replace=True)
    inside.verify()


def test_a_link_to_a_run_stands_for_the_run(store, tmp_path):
    run = trained(store, tmp_path / "run")
    (tmp_path / "link").symlink_to("run")
    shorter = msae.TrainConfig(n_tokens=8 * 256, batch_size=256)
    replaced = trained(store, tmp_path / "link", shorter, replace=True)
    assert (tmp_path / "link").is_symlink() and replaced.train_config == shorter
    assert Run.open(run.path).train_config == shorter


def test_what_is_no_run_is_not_replaced(store, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text.tex").write_text("years of work")
    with pytest.raises(CheckpointError, match="is not a run"):
        trained(store, tmp_path / "thesis", replace=True)
    assert contents(tmp_path) == {"thesis/text.tex": b"years of work"}


def test_the_state_of_a_finished_run_that_a_kill_left_is_cleared(store, tmp_path):
    from msae.studies.evaluate_run import evaluate_run
    from msae.studies.info import describe

    run = trained(store, tmp_path / "run")
    run.folder.resume.mkdir()
    (run.folder.resume / "state.safetensors").write_bytes(b"x" * 100)
    (run.path / ".config.json.77.tmp").write_text("half")
    assert "left by a kill  .config.json.77.tmp, resume: the next command" in describe(run.path)
    evaluate_run(run, n_tokens=100, progress=False)
    assert not run.folder.resume.exists() and "left by a kill" in describe(run.path)
    with pytest.raises(ConfigError, match="holds a finished run"):
        trained(store, tmp_path / "run")
    assert "left by a kill" not in describe(run.path), (
        "whoever wants to train clears the run's own folder, and is refused"
    )


def test_metrics_are_whole_when_a_kill_comes_as_a_resumed_run_begins(tmp_path, killed_after):
    lines = [f'{{"step": {step}}}\n' for step in range(1, 9)]
    step = 0
    while True:
        path = tmp_path / str(step) / "metrics.jsonl"
        path.parent.mkdir()
        path.write_text("".join(lines) + '{"st')
        came = killed_after(step, lambda: JsonlLogger(path, resumed_at=5))  # noqa: B023 (called at once)
        assert path.read_text().startswith("".join(lines[:5])), step
        JsonlLogger(path, resumed_at=5).close()
        assert path.read_text() == "".join(lines[:5])
        if not came:
            break
        step += 1
    assert step > 2


@pytest.mark.parametrize("name", ["../out", "a/b", "", ".", "..", ".hidden", "a\0b", "x" * 300])
def test_names_of_several_saes_are_names_of_folders(store, tmp_path, name):
    with pytest.raises(MsaeError):
        msae.train_many({"good": new_sae(), name: new_sae()}, store, CONFIG, tmp_path / "many", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_one_sae_is_not_trained_under_two_names(store, tmp_path):
    sae = new_sae()
    with pytest.raises(ConfigError, match=r"one SAE was given under two names \(a, b\)"):
        msae.train_many({"a": sae, "b": sae}, store, CONFIG, tmp_path / "many", progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def fresh_wandb():
    """wandb reads its settings once a process: here anew before and after."""
    import wandb

    wandb.teardown()
    yield
    wandb.teardown()


@pytest.mark.usefixtures("fresh_wandb")
def test_weights_and_biases_without_a_login_is_refused_before_anything_is_made(store, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(ConfigError, match="wandb login.*WANDB_MODE=offline"):
        trained(store, tmp_path / "run", wandb_project="p")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("fresh_wandb")
def test_a_run_that_is_gone_on_with_stays_one_run_in_weights_and_biases(store, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 12)
        with pytest.raises(StoppedError):
            trained(store, tmp_path / "run", wandb_project="p")
    trained(store, tmp_path / "run", wandb_project="p")
    names = [path.name for path in (tmp_path / "run" / "wandb").glob("offline-run-*")]
    assert names and len({name.rsplit("-", 1)[1] for name in names}) == 1
    assert foreign(Run(tmp_path / "run").folder) == []
