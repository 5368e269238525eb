"""The resume state of a run: one safetensors file, replaced whole, so that a kill at any moment leaves a good one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from msae.core.errors import CheckpointError
from msae.core.files import parse_json, write_tensors

if TYPE_CHECKING:
    from msae.training.trainer import Trainer

STATE = "state.safetensors"


def save_state(trainer: Trainer, folder: Path) -> None:
    """Write the trainer's whole state to `folder`, atomically."""
    tensors, values = trainer.state()
    write_tensors(folder / STATE, tensors, {"values": json.dumps(values)})


def has_state(folder: Path) -> bool:
    """Whether there is a state to resume from."""
    return (folder / STATE).is_file()


def load_state(trainer: Trainer, folder: Path) -> None:
    """Bring `trainer` to the state in `folder`; `CheckpointError` when it cannot be read or belongs to another SAE."""
    from safetensors import SafetensorError, safe_open

    path = folder / STATE
    try:
        with safe_open(path, framework="pt") as file:
            values = parse_json(file.metadata()["values"], f"the values in {path}", CheckpointError)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        trainer.load_state(tensors, values)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} cannot be resumed from ({error}): it is damaged or from another SAE; start the run again"
        ) from error
