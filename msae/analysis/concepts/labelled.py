"""What measurements with labels are made on, and what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float

from msae.activations.source import ActivationSource
from msae.analysis.concepts.probes.activation_probes import ActivationProbes
from msae.analysis.concepts.probes.code_probes import LevelProbes, probe_codes
from msae.analysis.measurement import Result
from msae.analysis.sample import CodeTable, Collected, Origin, Rows
from msae.analysis.sample.encode import encode_all
from msae.analysis.sample.shift import shift_bounds, shifted
from msae.analysis.tables import TableSpec
from msae.sae.autoencoder import SparseAutoencoder

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A sample's codes, and the probes of its labelled rows, which are the sample's first.

    `source`: the model the rows came from, where there is one. `scratch`: the folder for files of codes.
    """

    sae: SparseAutoencoder
    rows: Rows
    codes: CodeTable
    origin: Origin
    probes: ActivationProbes
    source: ActivationSource | None = None
    scratch: Path | None = None
    progress: bool = False

    @classmethod
    def of(cls, collected: Collected, probes: ActivationProbes, *, progress: bool = False) -> Labelled:
        """The labelled sample of a pass over more rows."""
        return cls(
            sae=collected.sae,
            rows=collected.rows,
            codes=collected.codes,
            origin=collected.origin,
            probes=probes,
            source=collected.source,
            scratch=collected.scratch,
            progress=progress,
        )

    @classmethod
    def encoded(
        cls,
        sae: SparseAutoencoder,
        rows: Rows,
        probes: ActivationProbes,
        *,
        source: ActivationSource | None = None,
        scratch: Path | None = None,
        progress: bool = False,
        force: bool = False,
    ) -> Labelled:
        """The labelled rows, encoded; raises what `encode_all` raises."""
        n_rows = probes.labels.n_rows
        codes = encode_all(sae, rows, n_rows, scratch=scratch, progress=progress, force=force)
        origin = Origin.of(rows, n_rows)
        return cls(
            sae=sae,
            rows=rows,
            codes=codes,
            origin=origin,
            probes=probes,
            source=source,
            scratch=scratch,
            progress=progress,
        )

    @cached_property
    def level_probes(self) -> tuple[LevelProbes, ...]:
        """The sparse probes of every usable concept at every level."""
        return probe_codes(self.codes, self.sae.prefix_widths, self.probes, progress=self.progress)

    @cached_property
    def null_codes(self) -> CodeTable:
        """The codes, shifted."""
        return shifted(self.codes, self.origin, seed=self.probes.settings.seed, scratch=self.scratch)

    @cached_property
    def directions(self) -> Float[np.ndarray, "d_sae d_in"]:
        """The decoder directions, unit rows."""
        return torch.nn.functional.normalize(self.sae.W_dec.detach().double().cpu(), dim=1).numpy()

    @property
    def null_model(self) -> str:
        """How codes are shifted, and labels alike."""
        return shift_bounds(self.origin)[1]


@runtime_checkable
class LabelledMeasurement(Protocol):
    """A frozen dataclass of settings, as a `Measurement` is, of labelled rows."""

    name: ClassVar[str]
    tables: ClassVar[tuple[TableSpec, ...]]

    def run(self, labelled: Labelled) -> Result:
        """Measure."""
        ...

    def render(self, result: Result, tables: Mapping[str, pa.Table]) -> list[RenderableType]:
        """What of a result a person reads in a terminal or a notebook."""
        ...
