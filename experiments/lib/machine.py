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
        **versions(packages),
    }


def versions(packages: tuple[str, ...] = ()) -> dict[str, str]:
    """Of Python, msae and torch, and of `packages`."""
    wanted = dict.fromkeys((*PACKAGES[:2], *packages))
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in wanted}}


def kind_of_machine(threads: int | None = None) -> dict[str, str | int]:
    """What results that are kept say of the machine: families, not models."""
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "processor": family(processor()),
        "vectors": vectors(),
        "threads": threads or torch.get_num_threads(),
        "accelerator": card,
    }


def family(name: str) -> str:
    """``AMD EPYC`` of a processor's full name: what stands before its model number."""
    words = name.replace("(R)", " ").replace("(TM)", " ").replace(" CPU", " ").split()
    numbered = next((i for i, word in enumerate(words) if any(c.isdigit() for c in word) or word == "Processor"), None)
    return " ".join(words[:numbered][:2]) or "unknown"


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def vectors() -> str:
    """The vector instructions that torch uses, and those that multiply small numbers fast."""
    fast = {"bf16 tiles": torch.cpu._is_amx_tile_supported(), "int8 dot products": torch.cpu._is_vnni_supported()}
    return " + ".join([torch.backends.cpu.get_cpu_capability(), *(name for name, there in fast.items() if there)])


def in_a_line(about: dict[str, str | int]) -> str:
    """What `machine` found, as text."""
    return ", ".join(f"{name} {value}" for name, value in about.items())
