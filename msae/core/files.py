"""Files that are either whole or absent: write to a temporary name in the same folder, flush, then rename.

And JSON, read with nothing taken on trust: its shape, its depth, its numbers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msae.core.errors import ConfigError, DiskError, MsaeError

if TYPE_CHECKING:
    import torch

MAX_DEPTH = 32
"""Lists and objects within one another, at most: nothing that msae writes comes near it."""


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write(temporary)` and rename the result to `path`; a failure leaves `path` as it was and no debris."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        allowed = temporary.stat().st_mode
        write(temporary)
        temporary.chmod(allowed)  # what the umask says; safetensors lets its owner alone read a file
        _flush_to_disk(temporary)
        temporary.replace(path)
    except OSError as error:
        raise DiskError(
            f"could not write {path}: {error}. Nothing was changed; check the disk and its rights."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    with contextlib.suppress(OSError):  # some file systems cannot flush a folder
        _flush_to_disk(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; `ConfigError` for what JSON has no form for (NaN, infinity)."""
    write_text(path, json_text(value, path))


def write_text(path: Path, text: str) -> None:
    """Write `text`, atomically."""
    write_atomically(path, lambda temporary: _write_text(temporary, text))


def json_text(value: Any, path: Path) -> str:
    """The text that `write_json` writes to `path`."""
    try:
        return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} was not written: {error}, so the value has no form in JSON") from error


def read_json(path: Path, error: type[MsaeError], *, expected: type = dict, hint: str = "") -> Any:
    """The value in the JSON file `path`: an object, or (`expected=list`) a list.

    Raises `error`, with `hint` (what to do) behind the reason, when the file is missing, cannot be read, is no JSON, is
    of another kind, holds NaN or infinity or text that is no Unicode, or is nested deeper than `MAX_DEPTH`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as reason:
        raise error(_because(f"{path} does not exist", hint)) from reason
    except (OSError, ValueError) as reason:
        raise error(_because(f"{path} cannot be read ({reason})", hint)) from reason
    return parse_json(text, str(path), error, expected=expected, hint=hint)


def parse_json(text: str, what: str, error: type[MsaeError], *, expected: type = dict, hint: str = "") -> Any:
    """`read_json` for text that is at hand; `what` names it in the message."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        _require_plain(value, 0)
    except (ValueError, RecursionError) as reason:
        why = "it is nested too deeply" if isinstance(reason, RecursionError) else reason
        raise error(_because(f"{what} is not readable JSON ({why})", hint)) from reason
    if not isinstance(value, expected):
        kind = "an object" if expected is dict else "a list"
        raise error(_because(f"{what} holds {type(value).__name__} where {kind} belongs", hint))
    return value


def _because(reason: str, hint: str) -> str:
    return f"{reason}: {hint}" if hint else reason


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds {name}, which is not JSON")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is beyond the range of numbers")
    return value


def _require_plain(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH}")
    if isinstance(value, str):
        value.encode("utf-8")  # half a surrogate pair, which JSON can spell, can be neither printed nor written
    elif isinstance(value, dict):
        for key, item in value.items():
            _require_plain(key, depth + 1)
            _require_plain(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _require_plain(item, depth + 1)


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write `tensors` as one safetensors file, atomically. Non-contiguous tensors are copied first."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    def save(temporary: Path) -> None:
        try:
            save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, temporary, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error

    write_atomically(path, save)


def read_tensors(
    path: Path, error: type[MsaeError], *, hint: str = "", names: Collection[str] | None = None
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file, read whole.

    Raises `error`, with `hint` behind the reason, when it is missing, damaged, or (`names`) holds other tensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as reason:
        raise error(_because(f"{path} cannot be read ({reason})", hint)) from reason
    if names is not None and set(tensors) != set(names):
        raise error(_because(f"{path} holds {sorted(tensors)}, not {sorted(names)}", hint))
    return tensors, metadata


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(folder: Path) -> str:
    """The SHA-256 of the names and the bytes of all files in a folder and below it, as hex."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            whole.update(f"{path.relative_to(folder).as_posix()} {sha256(path)}\n".encode())
    return whole.hexdigest()


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
