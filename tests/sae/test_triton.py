"""The Triton step against the reference, interpreted: in a process of its own, for the mode is set on import."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from msae.core.errors import ConfigError
from msae.sae import BatchTopK, SparseAutoencoder
from msae.sae.kernels import make_kernel

ROOT = Path(__file__).parents[2]
SOURCE = (ROOT / "msae/sae/kernels/triton_loops.py").read_text()
LOOPS = {
    node.args[0].id
    for node in ast.walk(ast.parse(SOURCE))
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "_jit" and isinstance(node.args[0], ast.Name)
}
WIDEST = 16_384
"""Rows as wide as this take half of a card's registers in each of four arrays: two of them, 8 bytes, are spilled."""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device to run on")
def test_without_a_device_the_kernel_is_refused():
    with pytest.raises(ConfigError, match="CUDA"):
        make_kernel("triton", SparseAutoencoder(8, 16, BatchTopK(k=2)))


def test_interpreted_it_equals_the_reference_and_asks_nothing():
    pytest.importorskip("triton")
    done = subprocess.run(
        [sys.executable, ROOT / "tests/sae/interpreted_triton.py"],
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert done.stdout.split() == [
        "every_activation_function",
        "bits_are_unpacked_in_order",
        "a_wrong_kernel_is_replaced_by_torch_s_and_named",
        "a_first_batch_that_is_not_finite_says_nothing_of_triton",
        "blocks_of_latents",
        "too_little_room_or_too_high_a_floor_is_said",
        "ties_and_fewer_positive_than_asked_for",
        "pick_loses_nothing",
        "training_is_the_reference_s",
        "a_step_that_did_not_fit_is_done_again_in_its_place",
        "a_step_asks_nothing",
        "a_batch_that_is_not_finite_is_named_a_step_later",
    ]


@pytest.mark.parametrize("capability", [80, 90, 100])
def test_every_loop_compiles_for_cards_that_are_not_here_and_keeps_to_its_registers(capability):
    """A tile that does not fit into registers works all the same, and several times as long."""
    pytest.importorskip("triton")
    done = subprocess.run(
        [sys.executable, ROOT / "tests/sae/ahead_of_time.py", str(capability)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["loop"] for line in lines} == LOOPS and len(lines) > 15
    spilled = [line for line in lines if line["stack"] > (8 if line.get("D") == WIDEST else 0)]
    assert not spilled and max(line["registers"] for line in lines) <= 255
