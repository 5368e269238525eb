"""`import msae` is quick and loads none of the heavy libraries."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = ("transformer_lens", "wandb", "plotly", "dash", "transformers", "datasets", "pandas")

PROGRAM = """
import json, sys, time
start = time.perf_counter()
import {package}
print(json.dumps(dict(seconds=time.perf_counter() - start, modules=sorted(sys.modules))))
"""


def imported(package: str = "msae") -> dict:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(package=package)], capture_output=True, text=True, check=True
    )
    return json.loads(result.stdout)


def test_import_loads_nothing_heavy() -> None:
    loaded = {name.split(".")[0] for name in imported()["modules"]}
    assert "msae" in loaded
    assert not loaded & set(HEAVY)


def test_import_takes_well_under_two_seconds() -> None:
    # The best of three: the machine may be busy with something else.
    assert min(imported()["seconds"] for _ in range(3)) < 2.0


def test_import_of_the_dashboards_loads_nothing_heavy() -> None:
    loaded = {name.split(".")[0] for name in imported("msae_dashboards")["modules"]}
    assert "msae_dashboards" in loaded
    assert not loaded & {*HEAVY, "torch"}
