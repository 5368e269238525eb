"""Every dependency is pinned in constraints.txt, to a version that pyproject.toml allows."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINS = dict(line.split("==") for line in LINES if not line.startswith("#"))
DECLARED = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]


@pytest.mark.parametrize("requirement", [line for line in DECLARED if not line.startswith("msae[")])
def test_each_dependency_is_pinned_within_its_range(requirement: str) -> None:
    parsed = Requirement(requirement)
    pin = PINS.get(canonicalize_name(parsed.name))
    assert pin is not None, f"{parsed.name} has no pin in constraints.txt"
    assert parsed.specifier.contains(pin), f"{requirement} does not allow the pinned {pin}"


def test_no_pin_asks_for_one_build() -> None:
    assert not [name for name, version in PINS.items() if "+" in version]
