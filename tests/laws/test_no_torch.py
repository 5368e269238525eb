"""Readers of tables and records import no torch: a page of tables opens without loading it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

READERS = ("msae.runs.layout", "msae.runs.record", "msae.analysis.tables", "msae.analysis.levels.level_table")


@pytest.mark.parametrize("module", READERS)
def test_a_reader_imports_no_torch(module: str) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "torch" not in json.loads(done.stdout)
