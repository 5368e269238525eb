"""Campaigns: every command killed, or met by a failing disk, at every kind of moment, and then run again.

Nothing may be lost, wrong or left. A kill is the end of the process at a chosen step of the file system (opening,
renaming, removing, …), so that every moment between two steps is reached, and each campaign reaches the same ones.
A fault is such a step that fails, once or from then on, or a file that cannot grow. Afterwards what was there is whole;
the same command ends as if nothing had happened, byte for byte; and no temporary file, scratch folder or half of
anything is left.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import msae
from msae.studies.analyze_run import analyze_run
from msae.studies.compare_run import compare_with
from msae.studies.evaluate_run import evaluate_run
from msae.studies.independent import train_independent

from . import state
from .counts import Counts

STEPS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "open", "shutil.rmtree", "os.chmod"}
CONFIG = msae.TrainConfig(n_tokens=4096, batch_size=128, log_every=4, checkpoint_every=8 * 128)
OTHER = msae.TrainConfig(n_tokens=4096, batch_size=128, log_every=4, checkpoint_every=8 * 128, lr=1e-3)
Work = Callable[[], object]
Spoil = Callable[[int, Work], Work]


def _store() -> msae.ActivationStore:
    return msae.ActivationStore.open("acts")


def _export() -> None:
    from msae_dashboards import export_html

    export_html("run", top=2)


COMMANDS: dict[str, Work] = {
    "harvest": lambda: msae.harvest(state.source(), state.documents(), path="new", **state.SIZES),
    "harvest, replacing": lambda: msae.harvest(
        state.source(seed=1), state.documents(), path="acts", replace=True, **state.SIZES
    ),
    "train": lambda: msae.train(state.sae(seed=2), _store(), CONFIG, "new", progress=False),
    "train, replacing": lambda: msae.train(state.sae(), _store(), OTHER, "run", replace=True, progress=False),
    "train, continued": lambda: msae.train(state.sae(), _store(), CONFIG, "unfinished", progress=False),
    "independent": lambda: train_independent(msae.Run.open("run"), progress=False),
    "eval": lambda: evaluate_run(msae.Run.open("run"), n_tokens=150, progress=False),
    "analyze": lambda: analyze_run(msae.Run.open("run"), tokens=700, concept_tokens=0, progress=False),
    "compare": lambda: compare_with(
        msae.Run.open("run"), ["other"], ce=False, n_tokens=300, eval_tokens=100, progress=False
    ),
    "export": _export,
}
REFUSED_ONCE_DONE = {"harvest", "train", "train, continued"}
"""A finished one is not made again: called again it is refused, and is as good."""


def killed_at(step: int, work: Work) -> Work:
    """`work`, ended as by SIGKILL at the file-system step of that number."""
    return _counting(step, work, lambda seen, event: os.kill(os.getpid(), 9))


def failing_once_at(step: int, work: Work) -> Work:
    """`work`, in which the file-system step of that number fails."""

    def fail(seen: int, event: str) -> None:
        if seen == step + 1:
            raise OSError(errno.EIO, "Input/output error")

    return _counting(step, work, fail)


def full_from(step: int, work: Work) -> Work:
    """`work`, in which from the file-system step of that number on nothing can be made; removing goes on working."""

    def fail(seen: int, event: str) -> None:
        if event in ("open", "os.mkdir"):
            raise OSError(errno.ENOSPC, "No space left on device")

    return _counting(step, work, fail)


def with_files_of(n_bytes: int, work: Work) -> Work:
    """`work`, in which no file can grow beyond that size, whoever writes it."""

    def limited() -> object:
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
        return work()

    return limited


def _counting(step: int, work: Work, then: Callable[[int, str], None]) -> Work:
    """`work`, with `then` at every file-system step of the world from that number on."""

    def counted() -> object:
        seen, here = 0, str(Path.cwd())

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            if event in STEPS and _is_written(event, arguments, here):
                seen += 1
                if seen > step:
                    then(seen, event)

        sys.addaudithook(count)
        return work()

    return counted


def _is_written(event: str, arguments: tuple[object, ...], here: str) -> bool:
    """Whether the step changes something in the folder `here`."""
    path = arguments[0]
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
        return False
    return os.path.abspath(os.fsdecode(path)).startswith(here + "/")  # noqa: PTH100


def steps_of(work: Work, folder: Path, output: Path) -> int:
    """How many file-system steps it takes."""
    file, total = output.with_suffix(".steps"), 0

    def note(seen: int, event: str) -> None:
        nonlocal total
        total = seen

    def counting() -> None:
        _counting(0, work, note)()
        number = total
        file.write_text(str(number))

    found = state.in_a_process(counting, folder, output)
    assert found.status == 0, found.output
    return int(file.read_text())


def contents(folder: Path) -> dict[str, str]:
    """Every file, by its sum; of the metrics, all but the speed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            if path.name == "metrics.jsonl":
                rows = [json.loads(line) | {"tokens_per_second": 0} for line in content.decode().splitlines()]
                content = json.dumps(rows).encode()
            found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


def kills(folder: Path, name: str, tries: int) -> Counts:
    """The campaign of kills for the command `name`, at `tries` moments evenly spread."""
    return _campaign(folder, name, lambda n_steps: [(killed_at, step) for step in _spread(n_steps, tries)])


def faults(folder: Path, name: str, tries: int) -> Counts:
    """The campaign of faults of the disk, of each kind a third of the `tries`."""
    each = max(1, tries // 3)

    def plan(n_steps: int) -> list[tuple[Spoil, int]]:
        steps = _spread(n_steps, each)
        sizes = [round(64 * 4 ** (7 * place / each)) for place in range(each)]  # to 1 MiB
        return [
            *((failing_once_at, step) for step in steps),
            *((full_from, step) for step in steps),
            *((with_files_of, size) for size in sizes),
        ]

    return _campaign(folder, name, plan)


def _spread(n_steps: int, tries: int) -> list[int]:
    return sorted({round(place * n_steps / tries) for place in range(tries)})


def _campaign(folder: Path, name: str, plan: Callable[[int], list[tuple[Spoil, int]]]) -> Counts:
    world, work = state.build(folder / "world"), COMMANDS[name]
    whole = shutil.copytree(world, folder / "whole" / "copy")  # of the same name, which pages are titled with
    n_steps = steps_of(work, whole, folder / "output")
    right, before = contents(whole), contents(world)
    changed = {path for path in right.keys() | before.keys() if right.get(path) != before.get(path)}
    counts = Counts()
    for spoil, at in plan(n_steps):
        copy = shutil.copytree(world, folder / "spoiled" / "copy")
        spoiled = state.in_a_process(spoil(at, work), copy, folder / "output")
        what = f"{name}, {spoil.__name__} {at}"
        found = contents(copy)
        lost = [path for path in before if path not in changed and found.get(path) != before[path]]
        again = state.in_a_process(work, copy, folder / "output")
        after = contents(copy)
        refused = again.status != 0 and name in REFUSED_ONCE_DONE and "finished" in again.output
        counts.tries += 1
        if spoil is killed_at and spoiled.status != -9:
            counts.note("wrong", f"{what}: was not killed ({spoiled.status}) {spoiled.output[-300:]}")
        if spoil is not killed_at and (spoiled.crashed or spoiled.is_fault_of_ours):
            counts.note("tracebacks", f"{what}: {spoiled.status} {spoiled.output[-900:]}")
        if lost:
            counts.note("lost", f"{what}: lost {lost[:4]}")
        if again.status != 0 and not refused:
            counts.note("wrong", f"{what}: again {again.status} {again.output[-600:]}")
        odd = sorted(path for path in after.keys() | right.keys() if after.get(path) != right.get(path))
        left = [path for path in odd if path not in right]
        if left:
            counts.note("left", f"{what}: leaves {left[:6]}")
        if len(left) < len(odd):
            counts.note("wrong", f"{what}: differs in {[path for path in odd if path in right][:6]}")
        shutil.rmtree(copy)
    return counts
