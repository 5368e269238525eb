"""The JSON beside others' weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from msae.core.errors import CheckpointError


def read_config(path: Path) -> dict[str, Any]:
    """The object in a JSON file; `CheckpointError` when it is missing, cut off, nested too deeply or no object."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist") from error
    except (ValueError, RecursionError, OSError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({error}); was it cut off?") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} holds {type(config).__name__}, expected an object")
    return config
