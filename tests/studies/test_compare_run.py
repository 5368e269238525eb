"""A run beside others, kept in its results."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import msae
from msae.analysis.sample.encode import encode_all
from msae.analysis.tables import meanings, read_table
from msae.core.errors import ConfigError
from msae.studies.compare_run import compare_with


@pytest.fixture
def run(nested, tmp_path) -> msae.Run:
    shutil.copytree(nested.run.path, tmp_path / "run")
    return msae.Run.open(tmp_path / "run")


def test_a_run_beside_its_baselines_is_kept_with_it(nested, run):
    found, folder = compare_with(run, progress=False)
    assert folder == run.results / "compare" / "independent"
    about = json.loads((folder / "comparison.json").read_text())
    saes = ["run", "independent/6", "independent/24"]
    assert about == {"own": "run", "saes": saes, "n_tokens": 8000, "notes": list(found.notes)}
    latents = read_table(folder / "compare_latents.parquet")
    assert all(meanings(latents).values()) and latents.equals(found.latents)
    assert latents["sae"].to_pylist() == ["run"] * 24 + ["independent/6"] * 6 + ["independent/24"] * 24
    counts = encode_all(nested.run.sae, nested.store, 8000).counts
    assert np.array_equal(latents["n_tokens"].to_numpy()[:24], counts)
    assert latents["level"].to_pylist()[:24] == nested.run.sae.level_of.tolist()


def test_the_same_command(nested, run, tmp_path):
    shutil.copytree(nested.baselines[24].path, tmp_path / "wide")
    command = [sys.executable, "-m", "msae", "compare", str(run.path), str(tmp_path / "wide"), "--name", "w", "--no-ce"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Latents found again" in said and str(run.results / "compare" / "w") in said
    assert json.loads((run.results / "compare" / "w" / "comparison.json").read_text())["saes"] == ["run", "wide"]


def test_refusals(nested, run, tmp_path):
    with pytest.raises(ConfigError, match=r"name = '\.\./x'"):
        compare_with(run, [nested.baselines[24].path], name="../x")
    shutil.rmtree(run.path / "independent")
    with pytest.raises(ConfigError, match="no independent baselines.*msae train --independent"):
        compare_with(run)
    with pytest.raises(ConfigError, match="two of what is compared are called"):
        compare_with(run, [nested.baselines[24].path, nested.baselines[24].path])
    assert not (run.results / "compare").exists()
