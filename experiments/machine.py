"""What a figure was measured on: the machine, how busy it was, and the versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

import torch

PACKAGES = ("msae", "torch", "numpy", "transformer-lens", "transformers")


def machine(packages: tuple[str, ...] = PACKAGES) -> dict[str, str | int]:
    """`load`: processes that wanted a core, on average over the last minute, those measured included."""
    return {
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "vectors": vectors(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
        "platform": platform.platform(),
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def vectors() -> str:
    """The vector instructions that torch uses, and those that multiply small numbers fast."""
    fast = {"bf16 tiles": torch.cpu._is_amx_tile_supported(), "int8 dot products": torch.cpu._is_vnni_supported()}
    return " + ".join([torch.backends.cpu.get_cpu_capability(), *(name for name, there in fast.items() if there)])


def said(about: dict[str, str | int]) -> str:
    """In a line."""
    return ", ".join(f"{name} {value}" for name, value in about.items())
