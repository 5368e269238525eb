"""Every entry of the lists goes the whole way: command line, a stop and a resume, figures, analysis, baselines."""

from __future__ import annotations

import itertools

import pytest
import torch

import msae
from msae.cli import main
from msae.sae import ACTIVATION_FNS, ENCODERS, NESTINGS, BatchTopK, FixedPrefixes, Linear
from msae.studies.analyze_run import analyze_run
from msae.studies.evaluate_run import evaluate_run
from msae.studies.independent import train_independent
from msae.training import Trainer

D_SAE = 24
USUAL = (BatchTopK.__name__, FixedPrefixes.__name__, Linear.__name__)
PARTS = (ACTIVATION_FNS, NESTINGS, ENCODERS)
CASES = [
    case if USUAL[1:] == case[1:] else pytest.param(case, marks=pytest.mark.slow) for case in itertools.product(*PARTS)
]


@pytest.fixture(scope="module")
def store(make, tmp_path_factory):
    return make.store(tmp_path_factory.mktemp("parts") / "acts", n_tokens=4000)


def train_tiny(store, parts, path):
    fn, nesting, encoder = parts
    sae = msae.SparseAutoencoder(store.d_in, D_SAE, fn, nesting, encoder=encoder, seed=3)
    config = msae.TrainConfig(n_tokens=24 * 256, batch_size=256, lr=5e-3, checkpoint_every=4 * 256, seed=5)
    return msae.train(sae, store, config, path, progress=False)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_train_stop_resume_evaluate_analyze(case, store, tmp_path, monkeypatch):
    parts = [entries[name].example(D_SAE) for entries, name in zip(PARTS, case, strict=True)]
    run = train_tiny(store, parts, tmp_path / "whole")
    step, steps = Trainer.step, itertools.count()

    def stopping(trainer, x):
        if next(steps) == 14:
            raise KeyboardInterrupt
        return step(trainer, x)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "step", stopping)
        train_tiny(store, parts, tmp_path / "stopped")
    again = train_tiny(store, parts, tmp_path / "stopped")
    for name, parameter in run.sae.named_parameters():
        assert torch.equal(parameter, again.sae.get_parameter(name)), name
    new = msae.Run.open(run.path).new_sae()
    assert [new.activation_fn, new.nesting, new.encoder] == parts

    table = evaluate_run(run, progress=False)
    assert [row.width for row in table.levels] == list(run.sae.prefix_widths)
    found = analyze_run(run, progress=False)
    assert len(found.tables["features"]) == D_SAE and sum(found.tables["features"]["n_tokens"].to_pylist()) > 0
    if run.sae.n_levels > 1 and parts[0].target_l0() is not None:
        for width, baseline in train_independent(run, progress=False).items():
            assert type(baseline.sae.activation_fn) is type(parts[0]) and baseline.sae.d_sae == width
    monkeypatch.setattr(
        "sys.argv", ["msae", "export-html", str(run.path), "--top", "2", "--out", str(tmp_path / "html")]
    )
    main()
    assert case[0] in (tmp_path / "html" / "run.html").read_text()


@pytest.mark.parametrize("name", ACTIVATION_FNS)
def test_the_command_line_makes_it(name, store, tmp_path, monkeypatch, capsys):
    cls = ACTIVATION_FNS[name]
    example = cls.example(D_SAE)
    flags = [] if cls.l0_setting is None else ["--k", str(getattr(example, cls.l0_setting))]
    for flag, field in cls.settings().items():
        flags += [f"--{flag.replace('_', '-')}", str(getattr(example, field.name))]
    arguments = ["train", "--store", store.path, "--out", tmp_path / "run", "--widths", 6, D_SAE, "--tokens", 4096]
    arguments += ["--batch-size", 256, "--activation", cls.label(), *flags]
    monkeypatch.setattr("sys.argv", ["msae", *map(str, arguments)])
    main()
    assert msae.load(tmp_path / "run").activation_fn == example
    assert "level 1" in capsys.readouterr().out
    foreign = next(other for other in ACTIVATION_FNS.values() if other is not cls and other.settings())
    flag = next(flag for flag in foreign.settings() if flag not in cls.settings())
    monkeypatch.setattr("sys.argv", ["msae", *map(str, arguments), "--replace", f"--{flag}", "1"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert f"--{flag} belongs to --activation {foreign.label()}" in capsys.readouterr().err
    assert (tmp_path / "run/sae").is_dir()
