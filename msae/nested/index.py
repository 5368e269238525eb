"""`Index`: items in a folder, searched at the levels of a nested code. A build that was stopped goes on.

index.json         what it was built of, written last; build.json while it is not finished
code/              the code
items.json         name and beginning of every item's text
items.safetensors  what is searched
parts/             while it is built: some thousand items each
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from msae.core.checked import checked
from msae.core.config import from_dict, require, to_dict
from msae.core.errors import CheckpointError, ConfigError, CorpusError
from msae.core.files import folder_sha256, read_json, read_tensors, write_json, write_tensors
from msae.core.numerics import RowArray, as_rows
from msae.core.spec import SourceSpec, require_same_source
from msae.core.version import __version__
from msae.nested.code import NestedCode
from msae.nested.code_files import load_code, save_code
from msae.nested.index_parts import AGAIN, Blocks, Named, Parts, read_named, regrouped
from msae.nested.items import DenseItems, Found, Items, SparseItems
from msae.nested.retrieval_plan import SearchPlan

INDEX, BUILD, CODE, PARTS = "index.json", "build.json", "code", "parts"
NAMES, ITEMS = "items.json", "items.safetensors"
FORMAT_VERSION = 1
PART_ITEMS = 4096
QUERIES_AT_A_TIME = 256
KINDS: dict[str, type[Items]] = {"dense": DenseItems, "sparse": SparseItems}


@checked
@final
class Index:
    """The index in the folder `path`; `Index.build` makes one, `Index.open` opens one.

    `named`: name and beginning of the text of every item. `level`: the last that can be searched. `spec`: what made
    the rows; None for arrays.
    """

    def __init__(
        self, path: Path, code: NestedCode, spec: SourceSpec | None, level: int, named: list[Named], items: Items
    ) -> None:
        self.path, self.code, self.spec, self.level = path, code, spec, level
        self.named, self.items = named, items

    @classmethod
    def open(cls, path: Path | str) -> Index:
        """The finished index at `path`; `CheckpointError` when there is none, or it is damaged."""
        path = Path(path)
        unfinished = (path / BUILD).is_file() and not (path / INDEX).is_file()
        hint = "its build was stopped: call msae index again" if unfinished else "give the folder of an index"
        about = read_json(path / INDEX, CheckpointError, hint=hint)
        code, named = load_code(path / CODE), read_named(path / NAMES)
        tensors, _ = read_tensors(path / ITEMS, CheckpointError, hint=AGAIN)
        try:
            spec = from_dict(SourceSpec, about["source"]) if about["source"] else None
            items = KINDS[about["kind"]](code, **tensors)
            level = int(about["level"])
        except (ConfigError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} does not hold an index ({error}): {AGAIN}") from error
        if len(named) != items.n:
            raise CheckpointError(f"{path} holds {items.n} items and {len(named)} names: {AGAIN}")
        return cls(path, code, spec, level, named, items)

    @classmethod
    def build(
        cls,
        path: Path | str,
        code: NestedCode,
        blocks: Callable[[list[Named]], Blocks],
        *,
        spec: SourceSpec | None = None,
        level: int | None = None,
        part_items: int = PART_ITEMS,
        force: bool = False,
    ) -> Index:
        """Index items by their codes at `level` (None: the last) and, where the code's levels are prefixes, at those
        before it. Called again after a kill it goes on.

        `blocks` is given the items that are indexed already and returns those that follow; it raises `CorpusError`
        where its own begin with others (`msae.nested.index_sources` has them). `spec`: what made the rows; a code
        fitted on another source's raises `MismatchError` (`force` warns instead).
        Raises `ConfigError` where `path` holds anything else, or an index under way of another code or other settings;
        `CorpusError` when there is not one item.
        """
        path, level = Path(path), code.n_levels - 1 if level is None else level
        code.width(level)
        if spec is not None and code.source is not None:
            require_same_source(code.source, spec, what="the code and the rows to index", force=force)
        kind = "sparse" if code.sparse else "dense"
        source = to_dict(spec) if spec else None
        about = {"format_version": FORMAT_VERSION, "version": __version__, "kind": kind, "level": level}
        _begin(path, {**about, "source": source}, code)
        parts = Parts(path / PARTS)
        for named, rows in regrouped(blocks(parts.named), part_items):
            parts.add(named, KINDS[kind].part(code, rows, level))
        if not parts.named:
            raise CorpusError(f"not one item was given for {path}: there is nothing to index")
        write_tensors(path / ITEMS, KINDS[kind].join([parts.tensors(i) for i in range(parts.count)]))
        write_json(path / NAMES, parts.named)
        (path / BUILD).replace(path / INDEX)
        shutil.rmtree(path / PARTS)
        return cls.open(path)

    def __len__(self) -> int:
        return len(self.named)

    def __repr__(self) -> str:
        return f"Index({self.path}, {len(self):,} items, {self.code!r})"

    @property
    def levels(self) -> list[int]:
        """Those that can be searched."""
        return list(range(self.level + 1)) if self.code.prefixes else [self.level]

    @property
    def bytes(self) -> int:
        """Bytes of the file that is searched."""
        return (self.path / ITEMS).stat().st_size

    def search(self, rows: RowArray, plan: SearchPlan | int = 10) -> Found:
        """Items and cosines for each query, the best first. A number as `plan`: so many, by an exact search at the
        last level. Raises `ConfigError` for a level that the index does not hold, and rows of another width.
        """
        if isinstance(plan, int):
            plan = SearchPlan.exact(self.level, plan)
        self.require_levels(plan)
        rows = as_rows(rows, self.code.d_in, "the array of queries")
        found = [self._found(block, plan) for block in rows.split(QUERIES_AT_A_TIME)]
        return np.concatenate([ids for ids, _ in found]), np.concatenate([scores for _, scores in found])

    def require_levels(self, plan: SearchPlan) -> None:
        """Raise `ConfigError` for a plan with a level that the index does not hold."""
        for level, _ in plan.stages:
            require(level in self.levels, "level", level, f"one of {self.levels}, which this index was built with")

    def _found(self, rows: torch.Tensor, plan: SearchPlan) -> Found:
        (level, keep), *others = plan.stages
        found, scores = self.items.scan(rows, level, keep)
        for level, keep in others:
            found, scores = self.items.rank(rows, found, level, keep)
        return found, scores


def is_index(path: Path) -> bool:
    """Whether an index lies at `path`, finished or not."""
    return (path / INDEX).is_file() or (path / BUILD).is_file()


def _begin(path: Path, about: dict[str, Any], code: NestedCode) -> None:
    """Make the folder, or find the build under way of the very same code and settings there."""
    if (path / INDEX).is_file():
        raise ConfigError(f"{path} holds a finished index: delete the folder to replace it, or choose another")
    under_way = (path / BUILD).is_file()
    if not under_way and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConfigError(f"{path} exists and is no index: choose another folder, or empty this one")
    aside = path.with_name(f".{path.name}.code")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        about = {**about, "code_sha256": folder_sha256(save_code(code, aside))}
        if under_way:
            begun = read_json(path / BUILD, CheckpointError, hint="delete the folder and build the index again")
            differ = [name for name in about if begun.get(name) != about[name]]
            if differ:
                raise ConfigError(
                    f"{path} holds an index under way with another {differ[0]}: give the same code and settings, or "
                    "choose another folder"
                )
            return
        path.mkdir(parents=True, exist_ok=True)
        aside.replace(path / CODE)
        write_json(path / BUILD, about)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
