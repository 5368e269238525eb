"""The demo corpus: the Python source that any machine able to run msae already has.

The standard library and the packages msae depends on are more than 100 MB of real code with docstrings and comments,
so the demo needs no download. A file belongs to the train or the held-out split by a hash of its module's dotted name
alone: whatever else is installed, `json.decoder` is on the same side everywhere, and a model trained on one machine has
not read the held-out files of another.

Left out: test suites (a Debian Python brings none, a source build many), generated and table-like files,
byte-identical copies, and whatever exceeds a package's cap, so that no single code base sets the tone. From the
held-out split also near copies: files of which more than a tenth stands word for word in the train split, counted in
runs of three lines. What is left of such runs (3%: licences, imports) stands there as everywhere.
"""

from __future__ import annotations

import hashlib
import re
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Literal

from msae.core.errors import CorpusError
from msae.data.documents import Document, Documents

Split = Literal["train", "heldout"]

HELDOUT_SHARE = 0.10
"""Share of the module names that fall in the held-out split."""

PACKAGE_CAP = 20_000_000
"""Bytes read from one package at most (both splits together)."""

FILE_BYTES = (200, 200_000)
"""Smallest and largest file read: shorter ones say nothing, longer ones are mostly tables."""

MIN_BYTES: Mapping[Split, int] = {"train": 10_000_000, "heldout": 500_000}
"""Bytes a split must have to be of use; a machine with msae's dependencies has ten times as much."""

PACKAGES = (
    *("accelerate", "anyio", "beartype", "click", "datasets", "dateutil", "dill", "docstring_parser", "einops"),
    *("filelock", "fsspec", "httpcore", "httpx", "huggingface_hub", "jaxtyping", "jinja2", "markdown_it"),
    *("mpmath", "multiprocess", "narwhals", "networkx", "numpy", "opentelemetry", "packaging", "pandas"),
    *("platformdirs", "plotly", "psutil", "pyarrow", "pydantic", "pygments", "requests", "rich", "safetensors"),
    *("scipy", "shellingham", "sympy", "tokenizers", "torch", "torchgen", "tqdm", "transformer_lens"),
    *("transformers", "typeguard", "typer", "tyro", "urllib3", "wadler_lindig", "wandb", "yaml"),
)
"""Packages read after the standard library: msae's dependencies and theirs. Absent ones are passed over."""

RUN_OF_LINES, MOST_SEEN = 3, 0.1
"""Lines a run, and the share of a held-out file's runs that may stand in the train split."""

_SKIPPED_PARTS = frozenset({"test", "tests", "idle_test", "__pycache__", "site-packages", "dist-packages"})
# Written by a program, or different on every machine: protobuf modules, plotly's schema classes, build settings.
_SKIPPED_NAMES = re.compile(r"_pb2(_grpc)?$|^_sysconfigdata|^plotly\.(validators|graph_objs)\b|^pydoc_data\b")
_GENERATED = re.compile(r"generated (by|from|automatically)|auto-?generated|do not (edit|modify)", re.I)
_SPACES = b" \t\r\n\f"
_NO_LETTERS = bytes(byte for byte in range(128) if not chr(byte).isalpha())


@dataclass(frozen=True, kw_only=True)
class Root:
    """Where the modules of one top-level name lie: a package folder or a single `.py` file."""

    group: str  # what the cap counts together: "stdlib", or the package
    name: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class CorpusReport:
    """What one reading of a split found: counts, and a `fingerprint` of the sorted (dotted name, content hash) pairs.

    `files` and `bytes` are of the documents; `unreadable` and `data_like` files were skipped while reading this split,
    `duplicates` are the copies left out of both splits together, `near_duplicates` the files left out of the held-out
    split since much of them stands in the train split.
    """

    split: Split
    files: int
    bytes: int
    tokens: int | None
    unreadable: int
    data_like: int
    duplicates: int
    near_duplicates: int
    bytes_by_package: dict[str, int]
    fingerprint: str


def in_heldout(name: str) -> bool:
    """Whether the module with this dotted name belongs to the held-out split."""
    return _ranks(name)[0] < HELDOUT_SHARE


def installed_roots() -> tuple[Root, ...]:
    """The standard library's modules and those of `PACKAGES` that this interpreter can import; imports none."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    roots = [
        Root(group="stdlib", name=path.stem, path=path)
        for path in sorted(stdlib.iterdir())
        if (path.suffix == ".py" or path.is_dir()) and path.stem.isidentifier() and path.name not in _SKIPPED_PARTS
    ]
    for package in PACKAGES:
        spec = PathFinder.find_spec(package)
        if spec is None:
            continue
        places = list(spec.submodule_search_locations or ([spec.origin] if spec.origin else []))
        roots += [Root(group=package, name=package, path=Path(place)) for place in sorted(places)]
    return tuple(roots)


class Corpus(Documents):
    """The documents of one split: iterate as often as you like, always in the same (hashed, so mixed) order.

    Files are read as they are needed. Those that cannot be read or decoded are skipped and counted in `report()`.

    Raises:
        CorpusError: no such split, or less than `min_bytes` of source found.
    """

    def __init__(self, split: Split = "heldout", *, roots: Iterable[Root] | None = None, min_bytes: int | None = None):
        if split not in MIN_BYTES:
            raise CorpusError(f"there is no split {split!r}: the demo corpus has {' and '.join(map(repr, MIN_BYTES))}")
        super().__init__(f"installed Python source, {split} split", self._documents)
        self.split: Split = split
        self.min_bytes = MIN_BYTES[split] if min_bytes is None else min_bytes
        modules, self._duplicates = _drop_copies(_modules(installed_roots() if roots is None else roots))
        self._modules = [module for module in modules if in_heldout(module.name) == (split == "heldout")]
        self._train = [module for module in modules if not in_heldout(module.name)] if split == "heldout" else []
        self._check(len(self._modules), sum(module.size for module in self._modules))

    @cached_property
    def _near_copies(self) -> frozenset[str]:
        """Names of the modules that are left out of the held-out split because of what stands in the train split."""
        return near_copies(self._modules, self._train)

    def _documents(self) -> Iterator[Document]:
        files = size = 0
        near = self._near_copies
        for module in self._modules:
            text = None if module.name in near else _read(module.path)
            if text is None or is_data_like(text):
                continue
            files, size = files + 1, size + len(text.encode())
            yield Document(name=module.name, text=text)
        self._check(files, size)

    def report(self, count_tokens: Callable[[str], int] | None = None) -> CorpusReport:
        """Read the whole split once and say what it holds; without `count_tokens`, `tokens` is None."""
        hashes: list[str] = []
        by_package: Counter[str] = Counter()
        tokens = unreadable = data_like = 0
        for module in self._modules:
            if module.name in self._near_copies:
                continue
            text = _read(module.path)
            if text is None:
                unreadable += 1
            elif is_data_like(text):
                data_like += 1
            else:
                data = text.encode()
                hashes.append(f"{module.name} {hashlib.sha256(data).hexdigest()}\n")
                by_package[module.group] += len(data)
                tokens += count_tokens(text) if count_tokens else 0
        self._check(len(hashes), by_package.total())
        return CorpusReport(
            split=self.split,
            files=len(hashes),
            bytes=by_package.total(),
            tokens=tokens if count_tokens else None,
            unreadable=unreadable,
            data_like=data_like,
            duplicates=self._duplicates,
            near_duplicates=len(self._near_copies),
            bytes_by_package=dict(by_package.most_common()),
            fingerprint=hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest(),
        )

    def _check(self, files: int, size: int) -> None:
        if size < self.min_bytes or not files:
            raise CorpusError(
                f"the demo corpus is too small: its {self.split} split has {files} readable files of Python source, "
                f"{size:,} bytes, and needs {self.min_bytes:,}. It is read from the standard library and from "
                f"msae's installed dependencies: check that their .py files are there (a zipped or stripped "
                f"installation has none), or train on text of your own."
            )


@dataclass(frozen=True)
class _Module:
    name: str
    group: str
    path: Path
    size: int


def _ranks(name: str) -> tuple[float, float]:
    """Two independent numbers in [0, 1) that depend on the dotted name alone: one splits, the other orders."""
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "big") / 2**64, int.from_bytes(digest[8:], "big") / 2**64


def _modules(roots: Iterable[Root]) -> list[_Module]:
    """Every module below the roots that is no test and within its package's cap, in hashed order."""
    found: dict[str, _Module] = {}
    for root in roots:
        for path in [root.path] if root.path.suffix == ".py" else sorted(root.path.rglob("*.py")):
            parts = path.relative_to(root.path).with_suffix("").parts if path != root.path else ()
            name = ".".join((root.name, *(part for part in parts if part != "__init__")))
            if _SKIPPED_PARTS.intersection(parts) or _SKIPPED_NAMES.search(name):
                continue
            try:
                size = path.stat().st_size
            except OSError:  # a dangling link: let the reader meet it and count it as unreadable
                size = FILE_BYTES[0]
            if FILE_BYTES[0] <= size <= FILE_BYTES[1]:
                found.setdefault(name, _Module(name, root.group, path, size))
    spent: Counter[str] = Counter()
    kept = []
    for module in sorted(found.values(), key=lambda module: (_ranks(module.name)[1], module.name)):
        spent[module.group] += module.size
        if spent[module.group] <= PACKAGE_CAP:
            kept.append(module)
    return kept


def _drop_copies(modules: list[_Module]) -> tuple[list[_Module], int]:
    """Keep the first of byte-identical files, whichever split they are in, so that no copy leaks across."""
    sizes = Counter(module.size for module in modules)
    seen: set[bytes] = set()
    kept = []
    for module in modules:
        if sizes[module.size] > 1:  # only files of one size can be equal: the others need not be read
            try:
                digest = hashlib.sha256(module.path.read_bytes()).digest()
            except OSError:
                digest = module.name.encode()
            if digest in seen:
                continue
            seen.add(digest)
        kept.append(module)
    return kept, len(modules) - len(kept)


def near_copies(modules: Iterable[_Module], others: Iterable[_Module]) -> frozenset[str]:
    """The names of `modules` more than `MOST_SEEN` of whose runs of lines stand in one of `others` (one pass over
    either; what is kept are hashes of the runs of `modules`)."""
    runs = {module.name: line_runs(_read(module.path) or "") for module in modules}
    wanted = {run for own in runs.values() for run in own}
    seen: set[int] = set()
    for other in others if wanted else ():
        seen.update(wanted.intersection(line_runs(_read(other.path) or "")))
    return frozenset(name for name, own in runs.items() if sum(run in seen for run in own) > MOST_SEEN * len(own))


def line_runs(text: str) -> list[int]:
    """A hash of each `RUN_OF_LINES` lines that follow one another, blank lines and indentation apart."""
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    return [hash(tuple(lines[first : first + RUN_OF_LINES])) for first in range(len(lines) - RUN_OF_LINES + 1)]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def is_data_like(text: str) -> bool:
    """Whether a source text is a table or was written by a program: little of it is letters, or it says so."""
    data = text.encode()
    solid = len(data.translate(None, delete=_SPACES))
    letters = len(data.translate(None, delete=_NO_LETTERS))
    return letters < 0.55 * solid or bool(_GENERATED.search(text[:600]))
