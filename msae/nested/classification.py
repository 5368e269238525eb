"""Classification with nested codes: a linear classifier at every level, and what each says of some rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.core.config import require
from msae.core.errors import ConfigError
from msae.nested.class_rows import LabelledRows
from msae.nested.classifier import Classifier
from msae.nested.code import NestedCode
from msae.nested.softmax_regression import fit_chosen

BLOCK_ROWS = 1024


@dataclass(frozen=True)
class LevelClassifiers:
    """A code with a linear classifier at every level."""

    code: NestedCode
    classes: tuple[str, ...]
    classifiers: tuple[Classifier, ...]

    @classmethod
    def trained(cls, code: NestedCode) -> LevelClassifiers:
        """The classifiers that a code was trained with; `ConfigError` where it was trained for no classes."""
        return cls(code, code.classes, tuple(code.classifier(level) for level in range(code.n_levels)))

    @classmethod
    def fit(cls, code: NestedCode, train: LabelledRows, valid: LabelledRows) -> LevelClassifiers:
        """Softmax regressions on the codes of every level, each at the penalty that is right most often on `valid`.

        Raises `ConfigError` for fewer than two classes, or one that occurs in `valid` alone; `TrainingError` where a
        regression finds no end.
        """
        classes = tuple(sorted(set(train.labels)))
        if len(classes) < 2:
            raise ConfigError(f"all {len(train)} rows are of the class {classes[0]!r}: at least two are needed")
        label, valid_label = train.numbers(classes), valid.numbers(classes)
        fitted = []
        for level in range(code.n_levels):
            codes, valid_codes = code.transform(train.rows, level), code.transform(valid.rows, level)
            fitted.append(fit_chosen(codes, label, len(classes), valid_codes, valid_label))
        return cls(code, classes, tuple(fitted))

    def judge(self, data: LabelledRows) -> Judged:
        """Every level's answer and confidence on the rows."""
        label, code = data.numbers(self.classes), self.code
        answers, confidences = [], []
        for level, classifier in enumerate(self.classifiers):
            blocks = [classifier.logits(code.transform(rows, level)) for rows in data.rows.split(BLOCK_ROWS)]
            found = torch.cat(blocks).softmax(1).max(1)
            answers.append(found.indices)
            confidences.append(found.values)
        return Judged(
            widths=code.widths,
            bytes=tuple(code.bytes_per_item(level) for level in range(code.n_levels)),
            prefixes=code.prefixes,
            classes=self.classes,
            label=label,
            answer=torch.stack(answers),
            confidence=torch.stack(confidences),
        )


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What every level says of some rows. `answer`: a class's number; `confidence`: its softmax probability.

    `bytes`: of a code of each level. `prefixes`: whether a level's code is the beginning of the next one's.
    """

    widths: tuple[int, ...]
    bytes: tuple[float, ...]
    prefixes: bool
    classes: tuple[str, ...]
    label: Int[Tensor, " rows"]
    answer: Int[Tensor, "level rows"]
    confidence: Float[Tensor, "level rows"]

    @property
    def right(self) -> Tensor:
        """Whether each level's answer is the row's class."""
        return self.answer == self.label

    @property
    def accuracy(self) -> list[float]:
        """Of every level."""
        return [float(right.double().mean()) for right in self.right]

    @property
    def read_widths(self) -> list[int]:
        """Numbers that were read once a level has answered: its width, or where its code is no beginning of the next
        one's, the widths of all levels up to it."""
        return list(self.widths if self.prefixes else accumulate(self.widths))

    @property
    def read_bytes(self) -> list[float]:
        """The same in bytes."""
        return list(self.bytes if self.prefixes else accumulate(self.bytes))

    def smallest_within(self, tolerance: float) -> int:
        """The smallest width whose accuracy is within `tolerance` of the full width's."""
        require(tolerance >= 0, "tolerance", tolerance, "a share of the rows, zero or more")
        full = self.accuracy[-1]
        return next(w for w, a in zip(self.widths, self.accuracy, strict=True) if a >= full - tolerance)
