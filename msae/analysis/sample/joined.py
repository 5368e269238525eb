"""Several SAEs on the same rows, side by side: their latents numbered through, one SAE a level.

So whatever is measured between the levels of a nested SAE is measured between SAEs by the same code, against the same
null model: each latent is shifted by its own amount.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int

from msae.analysis.sample.code_table import CodeTable, CodeWriter
from msae.analysis.sample.collected import Levelled
from msae.analysis.sample.encode import encode_all
from msae.analysis.sample.origin import Origin, Rows
from msae.analysis.sample.pairs import PairSettings, find_pairs
from msae.analysis.sample.shift import shift_bounds, shifted, shifts
from msae.core.config import require
from msae.core.errors import ConfigError, MismatchError
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.codes import SparseCodes

BLOCK_ROWS = 1 << 13


@dataclass(frozen=True, kw_only=True)
class JoinedCodes(Levelled):
    """The codes of SAEs with `widths` latents each: those of SAE g come after all of SAE g − 1, and it is level g."""

    widths: tuple[int, ...]

    @cached_property
    def level_of(self) -> Int[np.ndarray, " d_sae"]:
        """The SAE of each latent."""
        return np.repeat(np.arange(len(self.widths)), self.widths)

    def own_number(self, latent: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """The number each latent has in its own SAE."""
        first = np.cumsum([0, *self.widths[:-1]])
        return latent - first[self.level_of[latent]]


def join_saes(
    saes: Sequence[SparseAutoencoder],
    rows: Rows,
    *,
    n_tokens: int | None = None,
    pair_settings: PairSettings | None = None,
    seed: int = 0,
    scratch: Path | None = None,
    progress: bool = False,
    force: bool = False,
) -> JoinedCodes:
    """Encode the first `n_tokens` rows (None: all) with every SAE, and find the pairs that fire together.

    `seed`: of the shifts of the null model. Raises `ConfigError` for fewer than two SAEs, and what `encode_all` raises.
    """
    if len(saes) < 2:
        raise ConfigError(f"{len(saes)} SAEs were given: at least two are needed to be compared")
    pair_settings = pair_settings or PairSettings()
    require(n_tokens is None or n_tokens > 0, "n_tokens", n_tokens, "at least one token, or None for all")
    n_rows = min(rows.n_rows, n_tokens or rows.n_rows)
    tables = [encode_all(sae, rows, n_rows, scratch=scratch, progress=progress, force=force) for sae in saes]
    codes, widths = joined(tables, scratch), tuple(sae.d_sae for sae in saes)
    level_of = np.repeat(np.arange(len(widths)), widths)
    origin = Origin.of(rows, n_rows)
    null = shifted(codes, origin, seed=seed, scratch=scratch)
    nulls = shifts(codes, origin, null, seed=seed, scratch=scratch)
    bounds, _ = shift_bounds(origin)
    pairs = find_pairs(codes, level_of, pair_settings, bounds=bounds, null=nulls, progress=progress)
    return JoinedCodes(
        codes=codes,
        null_codes=null,
        origin=origin,
        pairs=pairs,
        pair_settings=pair_settings,
        seed=seed,
        scratch=scratch,
        widths=widths,
    )


def joined(tables: Sequence[CodeTable], scratch: Path | None = None) -> CodeTable:
    """One table of all codes, the latents of each table numbered after those of the tables before it.

    Raises `MismatchError` unless all have the same number of rows.
    """
    n_rows = {table.n_rows for table in tables}
    if len(n_rows) != 1:
        raise MismatchError(f"codes of {sorted(n_rows)} rows cannot be joined: encode the same rows")
    first = np.cumsum([0, *(table.d_sae for table in tables)])
    writer = CodeWriter(int(first[-1]), scratch)
    for start in range(0, tables[0].n_rows, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, tables[0].n_rows)
        parts = [table.sparse(start, stop) for table in tables]
        row = torch.cat([part.row for part in parts])
        latent = torch.cat([part.latent + int(offset) for part, offset in zip(parts, first, strict=False)])
        value = torch.cat([part.value for part in parts])
        order = row.argsort(stable=True)
        writer.append(SparseCodes(row[order], latent[order], value[order], stop - start, int(first[-1])))
    return writer.finish()
