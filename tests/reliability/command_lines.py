"""A campaign: the grammar of the command line × bad values × damaged files. No traceback, no crash, one line.

Every option of every command is read from the parser's own classes, so one that is added is tried. A try copies the
small world of `state`, damages it or not, and runs one command in a process of its own.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from msae.cli.command import COMMANDS
from msae.core.rng import numpy_stream

from . import state
from .counts import Counts

GOOD: dict[str, list[str]] = {
    "harvest": ["--model", "demo", "--layer", "1", "--text", "text/*.txt", "--tokens", "60", "--out", "new"],
    "train": ["--store", "acts", "--out", "new", *state.TRAIN],
    "adopt": ["sae", "--store", "acts", "--out", "new"],
    "eval": ["run", "--tokens", "100"],
    "analyze": ["run", *state.ANALYZE],
    "compare": ["run", "other", "--no-ce", "--tokens", "300", "--eval-tokens", "100"],
    "export-html": ["run", "--top", "2"],
    "info": ["run"],
    "demo": ["--harvest-tokens", "0", "--out", "new", "--store", "acts2"],
    "dashboard": ["nowhere", "--no-browser"],
}
"""A command line of each command that is right, or nearly; `demo` and `dashboard` are refused before they cost much."""

BAD = [
    "", " ", "-1", "0", "1", "2", "1.5", "nan", "inf", "-inf", "1e400", "1e30", "9" * 30, "None", "null", "true", "[]",
    "a/b", "../x", ".", "..", "/", "/dev/null", "~", "~nosuchuser/x", "nowhere", "n" * 300, "\ud83d\ude00", "é\u0301",
    "cuda", "cuda:9", "mps", "meta", "cpu:1", "*", "**/*.txt", "[", "a\tb", "%s", "{x}", "run", "acts", "sae", "text",
    "acts/manifest.json", "labels.parquet", "rows.jsonl", "run/config.json", "loop", "locked", "demo", "gpt2",
    "x" * 5000,
]  # fmt: skip

JSON_DAMAGE: list[Callable[[typing.Any], typing.Any]] = [
    lambda value: None,
    lambda value: [],
    lambda value: {},
    lambda value: "text",
    lambda value: -1,
    lambda value: 10**40,
    lambda value: 1.5,
    lambda value: True,
    lambda value: [value],
    lambda value: {"x": value},
]


def options_of(name: str) -> Iterator[str]:
    """The flags of a command, those of its groups included."""
    stack: list[type] = [COMMANDS[name]]
    while stack:
        for field in dataclasses.fields(stack.pop()):
            hint = typing.get_type_hints(COMMANDS[name]).get(field.name)
            inner = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
            if dataclasses.is_dataclass(inner):
                stack.append(typing.cast(type, inner))
            else:
                yield "--" + field.name.replace("_", "-")


def damaged_line(name: str, draw: np.random.Generator) -> list[str]:
    """A right command line, changed at one to three places."""
    line = [name, *GOOD[name]]
    flags = list(dict.fromkeys(options_of(name)))
    for _ in range(draw.integers(0, 4)):
        kind, place = draw.integers(0, 6), int(draw.integers(1, len(line) + 1))
        if kind == 0 and len(line) > 1:
            del line[min(place, len(line) - 1)]
        elif kind == 1:
            line[min(place, len(line) - 1)] = str(draw.choice(BAD))
        elif kind == 2:
            line.insert(place, str(draw.choice(BAD)))
        else:
            line += [str(draw.choice(flags)), *([str(draw.choice(BAD))] if draw.random() < 0.8 else [])]
    return line


def damage(world: Path, draw: np.random.Generator) -> str:
    """Damage one file, or none; says what was done."""
    files = sorted(path for path in world.rglob("*") if path.is_file() and not path.is_symlink())
    kind = draw.integers(0, 9)
    if kind == 0 or not files:
        return "nothing"
    path = files[int(draw.integers(len(files)))]
    named = str(path.relative_to(world))
    if kind == 1:
        path.unlink()
        return f"{named} removed"
    if kind == 2:
        content = path.read_bytes()
        path.write_bytes(content[: int(draw.integers(len(content) + 1))])
        return f"{named} cut"
    if kind == 3:
        content = bytearray(path.read_bytes())
        for place in draw.integers(0, max(1, len(content)), size=8) if content else []:
            content[place] = int(draw.integers(256))
        path.write_bytes(content)
        return f"{named} altered"
    if kind == 4:
        path.unlink()
        path.mkdir()
        return f"{named} a folder"
    if kind == 5:
        path.unlink()
        path.symlink_to(path.name)
        return f"{named} a link to itself"
    return _damaged_json(world, draw)


def _damaged_json(world: Path, draw: np.random.Generator) -> str:
    """One value, somewhere in one JSON file, becomes another; or the whole file becomes something of its own."""
    files = sorted(world.rglob("*.json"))
    path = files[int(draw.integers(len(files)))]
    whole = [
        "",
        "null",
        "[]",
        "{}",
        "1",
        '"x"',
        "NaN",
        "[" * 100_000,
        '{"a":' * 5000,
        "\ufeff{}",
        '{"a": 1e999}',
        "{'a'}",
    ]
    if draw.random() < 0.3:
        text = str(draw.choice(whole))
        path.write_text(text)
        return f"{path.relative_to(world)} = {text[:20]}"
    value = json.loads(path.read_text())
    places = list(_places(value))
    holder, key = places[int(draw.integers(len(places)))]
    if draw.random() < 0.2:
        del holder[key]
    else:
        holder[key] = JSON_DAMAGE[int(draw.integers(len(JSON_DAMAGE)))](holder[key])
    path.write_text(json.dumps(value))
    return f"{path.relative_to(world)}: {key!r}"


def _places(value: typing.Any) -> Iterator[tuple[typing.Any, typing.Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(pairs):
        yield value, key
        yield from _places(item)


def command_lines(folder: Path, tries: int, seed: int = 0) -> Counts:
    """The campaign: `tries` command lines, each in a copy of the small world."""
    world = state.build(folder / "world")
    (world / "loop").symlink_to("loop")
    draw, counts = numpy_stream(seed, "bad command lines"), Counts()
    for number in range(tries):
        name = sorted(GOOD)[number % len(GOOD)]
        copy = folder / "copy"
        shutil.copytree(world, copy, symlinks=True)
        (copy / "locked").mkdir(mode=0o000)
        what, line = damage(copy, draw), damaged_line(name, draw)
        found = state.in_a_process(state.command(*line), copy, folder / "output")
        counts.tries += 1
        counts.refused += found.status != 0
        shown = f"{number}: {' '.join(argument[:40] for argument in line)!r} with {what}: {found.status}"
        if found.is_fault_of_ours or found.crashed:
            counts.note("tracebacks", f"{shown}\n{found.output[-1500:]}")
        left = sorted(path for path in copy.rglob(".msae-*") if path.is_dir())
        if left:
            counts.note("left", f"{shown}: leaves {left[:4]}")
        shutil.rmtree(copy)
    return counts
