"""Damage that sums do not show: for what is checked behind them."""

from __future__ import annotations

import json
from pathlib import Path

from msae.activations.manifest import HOLDOUT, MANIFEST
from msae.core.files import sha256


def record_again(store: Path) -> None:
    """Let the store's manifest, and its holdout's, record the files as they are now."""
    if (store / HOLDOUT / MANIFEST).is_file():
        record_again(store / HOLDOUT)
    manifest = json.loads((store / MANIFEST).read_text())
    for name in manifest["files"]:
        path = store / name
        manifest["files"][name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    (store / MANIFEST).write_text(json.dumps(manifest))
