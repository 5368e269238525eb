"""A saved code: a folder with `code.json`, written last, and the files that its class writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from msae.core.checked import checked
from msae.core.config import from_dict, nearest, to_dict
from msae.core.errors import CheckpointError, ConfigError
from msae.core.files import read_json, read_tensors, sha256, write_json, write_tensors
from msae.core.spec import SourceSpec
from msae.core.version import __version__
from msae.nested.code import NestedCode

CODE, TENSORS = "code.json", "code.safetensors"
TRAINING, STATE = "training.json", "state.safetensors"
"""Of a code that is trained: with what, and how far it is."""
FORMAT_VERSION = 1
AGAIN = "fit or train the code again"


@checked
def save_code(code: NestedCode, path: str | Path) -> Path:
    """Write `code` to the folder `path`, which holds nothing else, and return it.

    Raises `ConfigError` where something other than a code lies there, and `DiskError` where it cannot be written.
    """
    path = Path(path)
    require_free(path)
    path.mkdir(parents=True, exist_ok=True)
    (path / CODE).unlink(missing_ok=True)  # until its files are there, the folder is no code
    settings = code.write(path)
    source = to_dict(code.source) if code.source else None
    head = {"format_version": FORMAT_VERSION, "version": __version__, "type": type(code).__name__}
    write_json(path / CODE, {**head, "source": source, "settings": settings, "sha256": _sum(path)})
    return path


@checked
def load_code(path: str | Path) -> NestedCode:
    """The code saved at `path`.

    Raises `CheckpointError` when there is none, when it cannot be read, and when its numbers are not those that were
    saved: nothing else would show that some of them were replaced.
    """
    from msae.nested.all_codes import CODES

    path = Path(path)
    saved = read_json(path / CODE, CheckpointError, hint="give the folder that save_code wrote")
    classes = {cls.__name__: cls for cls in CODES}
    name = saved.get("type")
    if name not in classes:
        raise CheckpointError(f"{path / CODE} is of the type {name!r}{nearest(str(name), classes)}")
    if saved.get("sha256") is not None and (path / TENSORS).is_file() and _sum(path) != saved["sha256"]:
        raise CheckpointError(f"{path / TENSORS} does not hold the numbers that were saved: copy it again, or {AGAIN}")
    try:
        source = from_dict(SourceSpec, saved["source"]) if saved.get("source") else None
        return classes[name].read(path, saved["settings"], source)
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path / CODE} does not describe a {name}: {error}; {AGAIN}") from error


def _sum(folder: Path) -> str | None:
    """The SHA-256 of a code's numbers; None for one that keeps none itself, whose parts have sums of their own."""
    return sha256(folder / TENSORS) if (folder / TENSORS).is_file() else None


def is_code(path: Path) -> bool:
    """Whether a finished code lies at `path`."""
    return (path / CODE).is_file()


def require_free(path: Path) -> None:
    """Raise `ConfigError` where something lies at `path` that is no code, finished or in training."""
    if not path.exists() or is_code(path):
        return
    if not path.is_dir() or any(entry.name not in (TRAINING, STATE) for entry in path.glob("[!.]*")):
        raise ConfigError(f"{path} exists and is not a code: choose another folder, or empty this one")


def write_code_tensors(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """The numbers of a code, as one file."""
    write_tensors(folder / TENSORS, tensors)


def read_code_tensors(folder: Path, names: Sequence[str]) -> dict[str, Tensor]:
    """The tensors called `names`; `CheckpointError` for a file that is missing, damaged or of other tensors."""
    return read_tensors(folder / TENSORS, CheckpointError, hint=AGAIN, names=names)[0]
