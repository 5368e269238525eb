"""Every notebook in the folder runs: at tiny sizes by default, as it is stored with the slow tests."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
KernelManager = pytest.importorskip("jupyter_client").KernelManager

FOLDER = Path(__file__).parents[2] / "experiments" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
IMPORTS = os.pathsep.join([str(FOLDER.parents[1]), os.environ.get("PYTHONPATH", "")])
MAX_BYTES = 1_000_000

every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A kernel for all, which imports everything once, in a folder for all: the next uses what one has trained."""
    kernel = KernelManager(kernel_name="python3")
    environment = os.environ | {"PYTHONPATH": IMPORTS, "MSAE_NOTEBOOK_TINY": "1"}
    kernel.start_kernel(cwd=str(tmp_path_factory.mktemp("notebooks")), env=environment)
    yield kernel
    kernel.shutdown_kernel(now=True)


@every
def test_it_runs_at_a_tiny_size(path, shared):
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    client = nbclient.NotebookClient(notebook, timeout=600, km=shared)
    try:
        client.execute()
    finally:
        client.kc.stop_channels()  # open ones would be another test's warning
    assert_executed(notebook)


@pytest.mark.slow
@every
def test_it_runs_at_full_size(path, tmp_path, monkeypatch):
    """In a kernel of its own."""
    monkeypatch.setenv("MSAE_NOTEBOOK_TINY", "0")
    monkeypatch.setenv("PYTHONPATH", IMPORTS)
    resources = {"metadata": {"path": str(tmp_path)}}
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=1800, resources=resources).execute()
    assert_executed(notebook)


def assert_executed(notebook: nbformat.NotebookNode) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert any("text/html" in output.get("data", {}) for cell in code for output in cell.outputs)


@every
def test_it_is_stored_executed_and_small(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code), "execute it at full size and store it with its outputs"
    assert any(cell["outputs"] for cell in code)
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not any(output["output_type"] == "error" or output.get("name") == "stderr" for output in outputs)
    assert path.stat().st_size < MAX_BYTES
    assert "/home/" not in path.read_text() and "/tmp/" not in path.read_text()
