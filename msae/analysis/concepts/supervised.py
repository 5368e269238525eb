"""`supervised`: everything that labels tell about an SAE, in one call."""

from __future__ import annotations

from pathlib import Path

from msae.activations.source import ActivationSource
from msae.analysis.concepts.concept_absorption import ConceptAbsorption
from msae.analysis.concepts.labelled import Labelled, LabelledMeasurement
from msae.analysis.concepts.labels import Labels
from msae.analysis.concepts.probes import ActivationProbes, ProbeSettings, probe_activations
from msae.analysis.concepts.separation import Probing
from msae.analysis.measurement import Result
from msae.analysis.sample import Rows
from msae.core.checked import checked
from msae.core.errors import EvaluationError
from msae.sae.autoencoder import SparseAutoencoder

LABELLED_MEASUREMENTS: tuple[type[LabelledMeasurement], ...] = (Probing, ConceptAbsorption)


@checked
def supervised(
    sae: SparseAutoencoder,
    rows: Rows,
    concepts: Labels | ActivationProbes,
    *,
    settings: ProbeSettings | None = None,
    source: ActivationSource | None = None,
    scratch: Path | None = None,
    progress: bool = False,
    force: bool = False,
) -> Result:
    """Tables ``concepts``, ``probes``, ``concept_absorption`` and ``concept_absorption_levels``.

    `concepts`: labels of the first rows (`label_text`, `read_labels`), or what `probe_activations` made of them, which
    depends on no SAE: with several SAEs on the same rows make it once. `settings`: of the probes; given with labels
    only. `force`: as in `collect`.

    Raises `MismatchError` when the SAE was trained on another source or width, and `EvaluationError` when no concept
    can be measured, not one latent fires, or fewer rows are there than labelled.
    """
    if isinstance(concepts, Labels):
        probes = probe_activations(rows, concepts, settings, progress=progress)
    elif settings is None:
        probes = concepts
    else:
        raise EvaluationError("settings were given with probes that are made already: make the probes with them")
    labelled = Labelled.encoded(sae, rows, probes, source=source, scratch=scratch, progress=progress, force=force)
    return measure_labelled(labelled)[0]


def measure_labelled(labelled: Labelled) -> tuple[Result, dict[str, Result]]:
    """The tables of all `LABELLED_MEASUREMENTS` together, and the result of each."""
    apart = {measurement.name: measurement().run(labelled) for measurement in LABELLED_MEASUREMENTS}
    tables = {name: table for result in apart.values() for name, table in result.tables.items()}
    summary = {f"{name}.{key}": value for name, result in apart.items() for key, value in result.summary.items()}
    return Result(tables=tables, summary=summary), apart
