"""Adopting an SAE that was not trained here: a run folder around it, so that everything a run can do, it can.

Nothing is copied: the run's SAE folder names the files, their sums, and the prefix widths.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msae.activations.store import ActivationStore
from msae.analysis.levels.evaluate import evaluate_rows
from msae.analysis.levels.level_table import LevelTable
from msae.core.checked import checked
from msae.core.config import to_dict, to_typed_dict
from msae.core.errors import ConfigError, MismatchError
from msae.core.files import write_json
from msae.core.hook_names import legacy_name, same_stream
from msae.core.spec import SourceSpec
from msae.core.version import __version__
from msae.runs.layout import RunFolder
from msae.runs.record import FORMAT_VERSION
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.checkpoint import is_ours, load
from msae.sae.formats import ForeignSae, read_foreign
from msae.sae.pointer import write_pointer
from msae.training import Run

CHECKED_TOKENS = 32_768
_BLOCK = re.compile(r"(?:blocks|layers|h|layer)[._](\d+)")


@checked
def adopt(
    path: str | Path,
    store: str | Path,
    out: str | Path,
    *,
    widths: Sequence[int] | None = None,
    n_tokens: int = CHECKED_TOKENS,
    progress: bool = True,
    force: bool = False,
) -> tuple[Run, LevelTable, list[str]]:
    """Make the run folder `out` around the SAE at `path`, for the activations in `store`.

    `widths`: cumulative prefix widths; None takes those of the file. Returns the run, every level measured on the first
    `n_tokens` rows of the store's holdout (without one, of the store), and notes: what the file claims of itself, what
    was measured, and what could not be checked.

    Raises `ConfigError` when something lies at `out`, `MismatchError` for a store of another width, model or block
    (with `force`, a note), and what `msae.load` raises.
    """
    path, out = Path(path).resolve(), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} exists: choose another folder for the run, or empty this one")
    rows = ActivationStore.open(store)
    sae = load(path, widths=widths)
    foreign = None if is_ours(path) else read_foreign(path)
    if sae.d_in != rows.d_in:
        raise MismatchError(f"the SAE reads d_in = {sae.d_in} numbers, the rows of {rows.path} have {rows.d_in}")
    notes = _same_place(foreign, rows.spec, force) if foreign else []
    sae.source = rows.spec
    table = evaluate_rows(sae, rows.holdout or rows, n_tokens=n_tokens, progress=progress)
    notes += _claims(foreign, table)
    folder = RunFolder(out)
    write_json(folder.config, _config(sae, path, foreign, rows))
    write_pointer(folder.sae, path, sae.prefix_widths, rows.spec)
    return Run.open(out), table, notes


def _config(sae: SparseAutoencoder, path: Path, foreign: ForeignSae | None, rows: ActivationStore) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "msae_version": __version__,
        "sae": {
            "d_in": sae.d_in,
            "d_sae": sae.d_sae,
            "activation_fn": to_typed_dict(sae.activation_fn),
            "nesting": to_typed_dict(sae.nesting),
            "seed": sae.seed,
        },
        "training": {},
        "adopted": {
            "path": str(path),
            "format": foreign.format if foreign else "msae",
            "model": foreign.model if foreign else "",
            "hook_name": foreign.hook_name if foreign else "",
            "widths_named_by": "file" if foreign and foreign.widths == sae.prefix_widths else "user",
        },
        "store": {"path": str(rows.path), "fingerprint": rows.fingerprint, "source": to_dict(rows.spec)},
    }


def _same_place(foreign: ForeignSae, spec: SourceSpec, force: bool) -> list[str]:
    """Does the file name the store's model and block? An error if not, a note where that cannot be told."""
    notes, differences = [], []
    if foreign.model and spec.model and not _same_model(foreign.model, spec.model):
        differences.append(f"model {foreign.model!r} != {spec.model!r}")
    legacy = spec.legacy_hook_name or legacy_name(spec.hook_name)
    theirs, ours = _BLOCK.search(foreign.hook_name), _BLOCK.search(spec.hook_name)
    if legacy and foreign.hook_name.startswith("blocks."):
        if same_stream(foreign.hook_name) not in (same_stream(legacy), spec.hook_name):
            differences.append(f"hook {foreign.hook_name!r} != {legacy!r}")
    elif theirs and ours:
        if theirs[1] != ours[1]:
            differences.append(f"hook {foreign.hook_name!r} != {spec.hook_name!r}")
    else:
        notes.append(
            f"The file names the place {foreign.hook_name!r}, the store {spec.hook_name!r}: compare them yourself."
        )
    if differences:
        message = f"the SAE and the store come from different places ({'; '.join(differences)})"
        if not force:
            raise MismatchError(f"{message}. Harvest the place it was trained on, or force=True if you mean it.")
        notes.append(f"Adopted although {message}.")
    return notes


def _same_model(theirs: str, ours: str) -> bool:
    """Names of one model differ by the owner and by what SAELens calls small models (``gpt2-small``)."""
    theirs, ours = (name.rsplit("/", 1)[-1].lower().removesuffix("-small") for name in (theirs, ours))
    return theirs == ours


def _claims(foreign: ForeignSae | None, table: LevelTable) -> list[str]:
    measured = table.levels[-1]
    claimed = foreign.claims.get("l0") if foreign else None
    if claimed is None:
        return [f"The file claims no L0; on this store it is {measured.l0:.2f}, with an FVU of {measured.fvu:.3f}."]
    return [f"The file claims an L0 of {claimed:.2f}; on this store it is {measured.l0:.2f} (FVU {measured.fvu:.3f})."]
