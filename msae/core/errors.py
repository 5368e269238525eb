"""Every error msae raises on purpose. Each message says what failed, the value given, and what to do."""


class MsaeError(Exception):
    """Base class: catch this to catch everything msae raises on purpose."""


class ConfigError(MsaeError, ValueError):
    """A setting is missing, unknown, or out of range. The message names field, value and what is right."""


class DiskError(MsaeError):
    """A file could not be written: no room, no rights, no such place. What was there before is as it was."""


class BusyError(MsaeError):
    """Another process is at work on the same run or store."""


class CorpusError(MsaeError):
    """Text could not be read, or there is too little of it."""


class SourceError(MsaeError):
    """A model, hook or array cannot give the activations requested."""


class StoreError(MsaeError):
    """An activation store is missing, incomplete, truncated, altered, or does not fit on the disk."""


class MismatchError(MsaeError):
    """Two things that must come from the same source do not: an SAE and a store, a store and a model."""


class CheckpointError(MsaeError):
    """A saved SAE or run cannot be read, or does not behave as it did when it was saved."""


class TrainingError(MsaeError):
    """Training cannot continue: a loss that is not finite, a batch that does not fit, a level with no live latent."""


class EvaluationError(MsaeError):
    """A figure was requested that the data cannot give."""
