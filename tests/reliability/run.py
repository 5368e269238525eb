"""``python -m tests.reliability.run CAMPAIGN TRIES``: one campaign in a fresh folder, its counts on standard output."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from .command_lines import command_lines
from .counts import Counts
from .kills_and_faults import COMMANDS, faults, kills


def run(campaign: str, tries: int) -> Counts:
    """``command lines``, ``kills`` or ``faults``; the last two share their tries among all commands."""
    with tempfile.TemporaryDirectory() as folder:
        if campaign == "command lines":
            return command_lines(Path(folder), tries)
        one, total = {"kills": kills, "faults": faults}[campaign], Counts()
        for number, name in enumerate(COMMANDS):
            total += one(Path(folder) / str(number), name, max(1, round(tries / len(COMMANDS))))
            print(f"{campaign}, {name}: {total}", file=sys.stderr, flush=True)
        return total


if __name__ == "__main__":
    found = run(sys.argv[1], int(sys.argv[2]))
    print(found.first, file=sys.stderr)
    print(json.dumps(asdict(found)))
