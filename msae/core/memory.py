"""How much memory is still to be had, where that can be told."""

from __future__ import annotations

from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def bytes_available(device: str = "cpu") -> int | None:
    """Memory a process can still take on `device`; None where that is not known. On a CPU the least of what the machine
    and the container leave (Linux)."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)[0]
    if device != "cpu":
        return None
    known = [found for found in (_of_machine(), _of_container()) if found is not None]
    return min(known) if known else None


def _of_machine() -> int | None:
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None


def _of_container() -> int | None:
    try:
        limit = int((CGROUP / "memory.max").read_text(encoding="ascii"))  # "max" where there is none
        used = (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        return limit - next(int(line.split()[1]) for line in used if line.startswith("anon "))
    except (OSError, ValueError, StopIteration):
        return None
