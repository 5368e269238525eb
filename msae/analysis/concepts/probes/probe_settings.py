"""`ProbeSettings`: how concepts are probed, and which are left out."""

from __future__ import annotations

from dataclasses import dataclass

from msae.core.checked import checked
from msae.core.config import require


@checked
@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """How concepts are probed.

    `test_share`: of the documents, drawn once; everything reported is measured on them. `validation_share`: of all
    documents, on which is chosen how many latents are main and which size is best. Everything is fitted on the others.
    `min_tokens`, `min_documents`: of a concept in the part fitted on and the part tested on, and `min_tokens` of its
    absence, below which it is left out; in the part chosen on, half as many tokens. `least_f1`: a concept is left out
    unless the probe on the activations does better. `l2`: the penalty of that probe (see `fit_logistic`); `fit_rows`:
    rows it is fitted on at most. `l1`: the penalty of the probe on codes that chooses latents, each divided by its mean
    activation, and `l1_rows` the rows it is fitted on at most, half of either class. `ks`: sizes of the sparse probes
    reported. `most_latents` and `gain`: a concept's main latents are those of the sparse probes of size 1, 2, … as long
    as each gains more F1 on the validation documents than `gain`, up to `most_latents`. `separated`: a level separates
    a concept when its best sparse probe has at least this share of the F1 of the probe on the activations. `resamples`:
    of the test documents, for standard errors. `null`: whether everything is measured on shifted labels and codes too,
    which doubles the time. `seed`: of all draws.
    """

    test_share: float = 0.3
    validation_share: float = 0.15
    min_tokens: int = 20
    min_documents: int = 3
    least_f1: float = 0.6
    l2: float = 1e-3
    fit_rows: int = 1 << 15
    l1: float = 0.005
    l1_rows: int = 1 << 14
    ks: tuple[int, ...] = (1, 2, 3, 5)
    most_latents: int = 10
    gain: float = 0.03
    separated: float = 0.8
    resamples: int = 200
    null: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("test_share", "validation_share"):
            require(0 < getattr(self, field) < 1, field, getattr(self, field), "a share between 0 and 1")
        together = self.test_share + self.validation_share
        require(together < 1, "test_share + validation_share", together, "less than 1: the rest is fitted on")
        for field in ("min_tokens", "min_documents", "fit_rows", "l1_rows", "most_latents"):
            require(getattr(self, field) >= 1, field, getattr(self, field), "at least one")
        for field in ("l1", "l2", "gain"):
            require(getattr(self, field) > 0, field, getattr(self, field), "a positive number")
        for field in ("least_f1", "separated"):
            require(0 <= getattr(self, field) <= 1, field, getattr(self, field), "0 to 1")
        increasing = len(self.ks) > 0 and self.ks[0] >= 1 and list(self.ks) == sorted(set(self.ks))
        require(increasing, "ks", self.ks, "sizes from 1 on, ascending")
        require(self.resamples >= 2, "resamples", self.resamples, "at least two")
