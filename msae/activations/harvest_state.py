"""How far a harvest is, as kept on disk after every shard: what a harvest called again continues from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from msae.activations.manifest import FORMAT, FORMAT_VERSION
from msae.activations.plan import HarvestRequest
from msae.activations.writer import WriterState
from msae.core.config import from_dict, require, to_dict
from msae.core.errors import ConfigError, StoreError
from msae.core.files import read_json, write_json
from msae.core.spec import SourceSpec


@dataclass(frozen=True, kw_only=True)
class HarvestState:
    """The request, and how much of it is on disk. `train`, `held_out`: by hook.

    `batches`, `contexts`: model batches and contexts seen; `digest`: a hash chain over them. `sink_norms`: by hook the
    norm above which rows are left out, where they are.
    """

    request: HarvestRequest
    specs: Mapping[str, SourceSpec]
    batches: int
    contexts: int
    digest: str
    train: Mapping[str, WriterState]
    held_out: Mapping[str, WriterState]
    sink_norms: Mapping[str, float] = field(default_factory=dict)
    format: str = FORMAT
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        require(self.format == FORMAT, "format", self.format, repr(FORMAT))
        ours = self.format_version == FORMAT_VERSION
        require(ours, "format_version", self.format_version, f"{FORMAT_VERSION}, which this version of msae writes")
        for name in ("train", "held_out"):
            same = getattr(self, name).keys() == self.specs.keys()
            require(same, name, sorted(getattr(self, name)), f"the hooks {sorted(self.specs)}")

    @property
    def is_empty(self) -> bool:
        """Whether no row is on disk: nothing is lost when it is begun again with other settings."""
        return self.batches == 0

    @classmethod
    def read(cls, path: Path) -> HarvestState:
        """The state in the file `path`; `StoreError` when it is not one."""
        hint = "choose another folder, or replace it with replace=True"
        values = read_json(path, StoreError, hint=hint)
        version = values.get("format_version")
        if values.get("format") == FORMAT and version != FORMAT_VERSION:
            raise StoreError(
                f"{path.parent} holds a harvest begun by another version of msae (format {version}, this one writes "
                f"{FORMAT_VERSION}): {hint}"
            )
        try:
            return from_dict(cls, values)
        except ConfigError as error:
            raise StoreError(f"{path} is not the progress of a harvest ({error}): {hint}") from error

    def write(self, path: Path) -> None:
        """Replace the file `path`."""
        write_json(path, to_dict(self))

    def differences(self, request: HarvestRequest, specs: Mapping[str, SourceSpec]) -> list[str]:
        """What is requested now and was not when it began, each as ``name: before, now``."""
        before, now = to_dict(self.request), to_dict(request)
        found = [f"{name}: {before[name]!r}, now {now[name]!r}" for name in now if before[name] != now[name]]
        if self.specs.keys() != specs.keys():
            return [*found, f"hooks: {sorted(self.specs)}, now {sorted(specs)}"]
        return [*found, *(line for hook, spec in self.specs.items() for line in spec.differences(specs[hook]))]
