"""`RunRecord`: what a run says of itself, read from its config and its log. No weights, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from msae.core.checked import checked
from msae.core.config import from_dict
from msae.core.errors import CheckpointError, ConfigError
from msae.core.files import parse_json, read_json
from msae.core.spec import SourceSpec
from msae.runs.layout import RunFolder

FORMAT_VERSION = 1
_OBJECTS = {"sae": dict, "training": dict, "store": dict}


@checked
@dataclass(frozen=True)
class RunRecord:
    """The run in the folder `path`: its records, without its SAE."""

    path: Path

    @property
    def folder(self) -> RunFolder:
        """Where everything in the run lies."""
        return RunFolder(self.path)

    @property
    def results(self) -> Path:
        """The folder of result tables."""
        return self.folder.results

    @property
    def is_finished(self) -> bool:
        """Whether the trained SAE is there."""
        return self.folder.is_finished

    @cached_property
    def config(self) -> dict[str, Any]:
        """The SAE's shape, activation function and nesting, the training, the store; `CheckpointError` unless it is
        the config of a run."""
        path = self.folder.config
        if not path.is_file():
            raise CheckpointError(f"{self.path} is not a run: it has no {path.name}")
        config = read_json(path, CheckpointError, hint="was it edited? Copy the run again")
        lacking = sorted(
            name for name, kind in {**_OBJECTS, "format_version": int}.items() if not isinstance(config.get(name), kind)
        )
        if lacking:
            raise CheckpointError(f"{self.path} is not a run: its {path.name} is not ours, it lacks {lacking}")
        if config["format_version"] > FORMAT_VERSION:
            raise CheckpointError(
                f"{path} has format {config['format_version']}, this msae reads up to {FORMAT_VERSION}: upgrade msae"
            )
        return config

    @property
    def version(self) -> str | None:
        """The version of msae that began the run; None where it did not write it down (0.1.0 and before)."""
        return self.config.get("msae_version")

    @property
    def adopted(self) -> dict[str, Any]:
        """Of an SAE that was not trained here: ``path``, ``format``, ``model``, ``hook_name``; else nothing."""
        value = self.config.get("adopted", {})
        if not isinstance(value, dict):
            raise self._unreadable("adopted", f"{value!r} is not an object")
        return value

    @property
    def store_path(self) -> Path:
        """Where the store lay that the run was trained on."""
        return Path(self._store("path"))

    @property
    def store_fingerprint(self) -> str:
        """The fingerprint of that store."""
        return self._store("fingerprint")

    @cached_property
    def source(self) -> SourceSpec:
        """What made the activations."""
        try:
            return from_dict(SourceSpec, self.config["store"]["source"])
        except (ConfigError, KeyError, TypeError) as error:
            raise self._unreadable("store.source", error) from error

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of figures logged while training."""
        path = self.folder.metrics
        return [
            parse_json(line, f"line {number} of {path}", CheckpointError, hint="it was altered after training")
            for number, line in enumerate(whole_lines(path), 1)
        ]

    def _store(self, field: str) -> str:
        value = self.config["store"].get(field)
        if not isinstance(value, str):
            raise self._unreadable(f"store.{field}", f"{value!r} is not text")
        return value

    def _unreadable(self, part: str, why: object) -> CheckpointError:
        return CheckpointError(f"{self.folder.config} has no readable {part} ({why}): was it edited? Copy it again")


def whole_lines(path: Path) -> list[str]:
    """The lines of a log that end in a newline: a kill can leave half a line."""
    if not path.is_file():
        return []
    try:
        return path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error})") from error
