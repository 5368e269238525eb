"""The campaigns, each in a process of its own: it forks at every try, and nothing is patched there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRIES = {"command lines": 1000, "kills": 100, "faults": 90}
PART = float(os.environ.get("MSAE_CAMPAIGN", "1"))
"""How much of them is done: ``MSAE_CAMPAIGN=0.1`` for a look."""


@pytest.mark.slow
@pytest.mark.parametrize("campaign", TRIES)
def test_nothing_is_lost_wrong_left_or_a_traceback(campaign: str) -> None:
    tries = max(1, round(PART * TRIES[campaign]))
    command = [sys.executable, "-m", "tests.reliability.run", campaign, str(tries)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["tries"] >= tries
    assert not any(found["bad"].values()), done.stderr[-6000:]
    if campaign == "command lines":
        assert tries / 4 < found["refused"] < 0.95 * tries, "both what is refused and what is done is tried"
