"""`neighbours`: for every latent, the nearest decoder directions in its own level and in all others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.analysis.tables import Column, TableSpec

BLOCK_NUMBERS = 1 << 24

NEIGHBOURS = TableSpec(
    "neighbours",
    "a latent and one whose decoder direction is near",
    Column("latent", pa.int32(), "number of the latent"),
    Column("neighbour", pa.int32(), "number of the neighbour"),
    Column("neighbour_level", pa.int16(), "level whose band the neighbour is in"),
    Column("same_level", pa.bool_(), "whether both are in one band; the nearest of both kinds are listed"),
    Column("rank", pa.int16(), "0 is the nearest of its kind"),
    Column("cosine", pa.float32(), "cosine of the decoder directions"),
)


@torch.no_grad()
def nearest_directions(
    W_dec: Float[Tensor, "d_sae d_in"], level_of: Int[np.ndarray, " d_sae"], count: int
) -> dict[str, Any]:
    """The columns of `NEIGHBOURS`, `count` of either kind (fewer where there are not as many). At most 2²⁴ cosines are
    held at once."""
    directions = torch.nn.functional.normalize(W_dec.detach().float(), dim=1)
    levels = torch.from_numpy(level_of).to(directions.device)
    d_sae = len(directions)
    parts: list[tuple[Tensor, ...]] = []
    for first in range(0, d_sae, max(1, BLOCK_NUMBERS // d_sae)):
        mine = torch.arange(first, min(first + max(1, BLOCK_NUMBERS // d_sae), d_sae), device=directions.device)
        cosines = directions[mine] @ directions.T
        cosines[torch.arange(len(mine)), mine] = -torch.inf
        same = levels[mine][:, None] == levels
        for kind in (True, False):
            masked = cosines.masked_fill(same != kind, -torch.inf)
            value, index = masked.topk(min(count, d_sae), dim=1)
            latent, rank = (value > -torch.inf).nonzero(as_tuple=True)
            found = (mine[latent], index[latent, rank], rank, value[latent, rank], torch.full_like(rank, int(kind)))
            parts.append(tuple(part.cpu() for part in found))
    columns = [torch.cat(column).numpy() for column in zip(*parts, strict=True)]
    latents, ranks, is_same = columns[0], columns[2], columns[4]
    columns = [column[np.lexsort((ranks, -is_same, latents))] for column in columns]
    return {
        "latent": columns[0],
        "neighbour": columns[1],
        "neighbour_level": level_of[columns[1]],
        "same_level": columns[4].astype(bool),
        "rank": columns[2],
        "cosine": columns[3],
    }
