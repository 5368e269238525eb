"""The resume state of a run: one safetensors file, replaced whole, so that a kill at any moment leaves a good one."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from msae.core.errors import CheckpointError
from msae.core.files import parse_json, write_tensors

if TYPE_CHECKING:
    from msae.training.trainer import Trainer

STATE = "state.safetensors"


def save_state(trainer: Trainer, folder: Path, *, with_guess: bool = False) -> None:
    """Write the trainer's whole state (`Trainer.state`) to `folder`, atomically."""
    import torch

    tensors, values = trainer.state(with_guess=with_guess)
    values |= {"threads": torch.get_num_threads()}
    write_tensors(folder / STATE, tensors, {"values": json.dumps(values)})


def has_state(folder: Path) -> bool:
    """Whether there is a state to resume from."""
    return (folder / STATE).is_file()


def load_state(trainer: Trainer, folder: Path) -> None:
    """Bring `trainer` to the state in `folder`; `CheckpointError` when it cannot be read or belongs to another SAE.

    Warns on a CPU where torch has another number of threads than when the state was written: sums then differ in their
    last bits.
    """
    import torch
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
    threads, now = values.get("threads"), torch.get_num_threads()
    if trainer.sae.device.type == "cpu" and threads not in (None, now):
        warnings.warn(
            f"{path} was written with {threads} threads, torch has {now} now: the SAE will not have the bits of one "
            f"trained without a stop. For these, resume with OMP_NUM_THREADS={threads}",
            stacklevel=3,
        )
