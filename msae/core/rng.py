"""Named random streams: every draw comes from a generator keyed by (seed, name), so that adding one draw never
shifts another, and two things seeded alike (a synthetic dictionary and an SAE's initialisation) never coincide."""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def stream_seed(seed: int, name: str) -> int:
    """A 63-bit seed for the stream `name` of `seed`: the first bytes of BLAKE2b(seed, name)."""
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def torch_stream(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator for the stream `name` of `seed`."""
    return torch.Generator(device=device).manual_seed(stream_seed(seed, name))


def numpy_stream(seed: int, name: str) -> np.random.Generator:
    """A numpy generator for the stream `name` of `seed`."""
    return np.random.default_rng(stream_seed(seed, name))
