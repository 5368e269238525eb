"""Every Python block and every msae command of the README runs, at tiny sizes and on the model that ships."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
TINY = [
    (r"n_tokens=200_000", "n_tokens=8_192"),
    (r"n_tokens=800_000", "n_tokens=16_384"),
    (r"--model gpt2 --hook blocks\.8", "--model demo --hook blocks.2"),
    (r"--tokens 2000000", "--tokens 6000"),
    (r"--widths 256 1024 4096 --k 32", "--widths 16 64 --k 4 --tokens 8192"),
    (r"msae eval +(\S+)", r"msae eval \1 --tokens 500"),
]


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def tiny(text):
    for pattern, replacement in TINY:
        text = re.sub(pattern, replacement, text)
    return text


def in_process(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("readme")
    (path / "corpus").mkdir()
    text = "".join(f"def f{i}(x, y={i}):\n    return x * {i} + y\n\n" for i in range(1500))
    (path / "corpus" / "a.txt").write_text(text)
    return path


def test_python_blocks_run_one_after_the_other(folder):
    assert len(blocks("python")) >= 3
    printed = "".join(in_process([sys.executable, "-c", tiny(block)], folder) for block in blocks("python"))
    assert re.search(r"1024 latents +L0 +1\d\.\d\d", printed)
    assert (folder / "runs/quick/level-1/cfg.json").is_file()


def test_commands_run_one_after_the_other(folder):
    lines = [line.partition("#")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    commands = [tiny(line) for line in lines if line.startswith("msae ")]
    assert len(commands) >= 5
    for command in commands:
        _, *arguments = shlex.split(command)
        in_process([sys.executable, "-m", "msae", *arguments], folder)
    assert (folder / "runs/gpt2-l8/results/levels.json").is_file()


def test_the_test_command_is_the_one_ci_runs():
    ci = (Path(__file__).parent.parent / ".ci" / "run").read_text()
    assert "make test" in ci and any("make test " in block for block in blocks("bash"))
