"""Every notebook in the folder runs: at tiny sizes by default, as it is stored with the slow tests."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MAX_BYTES = 1_000_000

every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def execute(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, tiny: bool) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("MSAE_NOTEBOOK_TINY", "1" if tiny else "0")
    root = str(FOLDER.parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One folder for all, since what one has trained the next uses again."""
    return tmp_path_factory.mktemp("notebooks")


@every
def test_it_runs_at_a_tiny_size(path, shared, monkeypatch):
    execute(path, shared, monkeypatch, tiny=True)


@pytest.mark.slow
@every
def test_it_runs_at_full_size(path, tmp_path, monkeypatch):
    execute(path, tmp_path, monkeypatch, tiny=False)


@every
def test_it_is_stored_executed_and_small(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code), "execute it at full size and store it with its outputs"
    assert any(cell["outputs"] for cell in code)
    assert not any(output["output_type"] == "error" for cell in code for output in cell["outputs"])
    assert path.stat().st_size < MAX_BYTES
    assert "/home/" not in path.read_text() and "/tmp/" not in path.read_text()
