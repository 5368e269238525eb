"""Linear probes for labelled concepts, on activations and on few latents."""

from msae.analysis.concepts.probes.activation_probes import ActivationProbes, probe_activations
from msae.analysis.concepts.probes.code_probes import LevelProbes, probe_codes
from msae.analysis.concepts.probes.probe_settings import ProbeSettings

__all__ = ["ActivationProbes", "LevelProbes", "ProbeSettings", "probe_activations", "probe_codes"]
