"""Training a `MatryoshkaHead` on an array or a store; with a folder it continues where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.activations.fingerprint import tensor_fingerprint
from msae.activations.store import ActivationStore
from msae.core.checked import checked
from msae.core.config import to_dict
from msae.core.errors import CheckpointError, ConfigError, TrainingError
from msae.core.files import read_json, read_tensors, write_json, write_tensors
from msae.core.rng import torch_stream
from msae.core.spec import SourceSpec
from msae.nested.classifier import Classifier
from msae.nested.code import checked_widths
from msae.nested.code_files import STATE, TRAINING, is_code, require_free, save_code
from msae.nested.head import IndependentHeads, MatryoshkaHead, orthonormal
from msae.nested.head_config import HeadConfig, Progress
from msae.nested.head_losses import class_loss, cosine_loss
from msae.nested.rows import Rows, Taken, blocks, moments, shape_of, shuffled_indices, source_of, taken
from msae.training.schedules import warmup_stable_decay

WARMUP, DECAY = 0.1, 0.5


@checked
def train_head(
    rows: Rows,
    config: HeadConfig,
    *,
    labels: Sequence[str | None] | None = None,
    path: str | Path | None = None,
    progress: Progress | None = None,
) -> MatryoshkaHead:
    """Train a head on `rows`, and save it at `path` (None: nowhere). Called again after a kill it continues.

    `labels`: the class of every row, in order, for the objective ``classes``; rows whose label is None are left out,
    and those of a store are read into memory. For ``cosines`` a store is streamed.

    Raises `ConfigError` for labels that are missing, of another number, or of fewer than two classes; for widths beyond
    the row's; where `path` holds a finished code, another training, or anything else. `TrainingError` for a loss that
    is not finite, `CheckpointError` for a state that cannot be read.
    """
    rows = taken(rows)
    data = _labelled(rows, labels) if config.objective == "classes" else _unlabelled(rows, labels)
    checked_widths(config.widths, data.d_in)
    folder = Path(path) if path is not None else None
    if folder is not None:
        _begin(folder, data, config)
    training = _Training(data, config)
    if folder is not None and (folder / STATE).is_file():
        training.restore(folder / STATE)
    batches = data.batches(config, training.step)
    while training.step < config.n_steps:
        loss = training.train_on(*next(batches))
        if folder is not None and training.step % config.checkpoint_every == 0 and training.step < config.n_steps:
            training.save(folder / STATE)
        if progress is not None:
            progress(training.step, loss)
    head = training.head(data)
    if folder is not None:
        save_code(head, folder)
        (folder / STATE).unlink(missing_ok=True)
    return head


@checked
def train_independent_heads(
    rows: Rows,
    config: HeadConfig,
    *,
    labels: Sequence[str | None] | None = None,
    path: str | Path | None = None,
    progress: Progress | None = None,
) -> IndependentHeads:
    """`train_head` for each of the widths alone, with the same settings and batches; in ``path/WIDTH``."""
    folder = Path(path) if path is not None else None
    heads = []
    for width in config.widths:
        alone = replace(config, widths=(width,), level_weights=None)
        own = folder / str(width) if folder is not None else None
        heads.append(train_head(rows, alone, labels=labels, path=own, progress=progress))
    return IndependentHeads(heads)


@dataclass(frozen=True)
class _Data:
    """Rows and, for classes, the number of each one's class."""

    rows: Taken
    label: Int[Tensor, " rows"] | None
    classes: tuple[str, ...]
    source: SourceSpec | None

    @property
    def d_in(self) -> int:
        return shape_of(self.rows)[1]

    def batches(self, config: HeadConfig, start: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Endless shuffled batches of rows and labels, from the `start`-th on."""
        if isinstance(self.rows, ActivationStore):
            for x in self.rows.batches(config.batch_size, seed=config.seed, start=start, prefetch=False):
                yield x, None
        else:
            size = {"batch_size": config.batch_size, "seed": config.seed, "start": start}
            for index in shuffled_indices(len(self.rows), **size, name="nested/head"):
                yield self.rows[index].float(), None if self.label is None else self.label[index]

    def fingerprint(self) -> str:
        """Another one for other rows or other labels."""
        rows = self.rows.fingerprint if isinstance(self.rows, ActivationStore) else tensor_fingerprint(self.rows)
        return rows if self.label is None else f"{rows} {tensor_fingerprint(self.label.float())}"


def _labelled(rows: Taken, labels: Sequence[str | None] | None) -> _Data:
    n_rows, _ = shape_of(rows)
    if labels is None:
        raise ConfigError("objective = 'classes' needs labels, one a row: give them, or train with 'cosines'")
    if len(labels) != n_rows:
        raise ConfigError(f"{len(labels)} labels were given for {n_rows} rows: one a row, None where there is none")
    classes = tuple(sorted({label for label in labels if label is not None}))
    if len(classes) < 2:
        raise ConfigError(f"the labels name {len(classes)} classes ({', '.join(classes)}): at least two are needed")
    number = {name: i for i, name in enumerate(classes)}
    known = torch.tensor([i for i, label in enumerate(labels) if label is not None])
    label = torch.tensor([number[name] for name in labels if name is not None])
    x = torch.cat(list(blocks(rows)))[known]
    return _Data(x, label, classes, source_of(rows))


def _unlabelled(rows: Taken, labels: Sequence[str | None] | None) -> _Data:
    if labels is not None:
        raise ConfigError("labels were given, which the objective 'cosines' makes no use of: leave them out")
    return _Data(rows, None, (), source_of(rows))


def _begin(folder: Path, data: _Data, config: HeadConfig) -> None:
    """Make the folder, or find the unfinished training of the very same settings there."""
    require_free(folder)
    if is_code(folder):
        raise ConfigError(f"{folder} holds a finished code: delete the folder to replace it, or choose another")
    settings = json.loads(json.dumps({"config": to_dict(config), "rows": data.fingerprint()}))
    if (folder / TRAINING).is_file():
        begun = read_json(folder / TRAINING, CheckpointError, hint="delete the folder and train again")
        if begun != settings:
            raise ConfigError(
                f"{folder} holds an unfinished training with other settings or rows: use those it has, or another"
            )
    else:
        write_json(folder / TRAINING, settings)


class _Training:
    """The parameters while they learn. Rows are scaled to E‖x‖² = d_in; the scale is folded into E at the end."""

    def __init__(self, data: _Data, config: HeadConfig) -> None:
        self.config, self.step, width = config, 0, config.widths[-1]
        mean, covariance = moments(data.rows)
        if config.objective == "cosines":  # similarities are those of the rows as they are, so nothing is subtracted
            covariance, mean = covariance + torch.outer(mean, mean), torch.zeros_like(mean)
        self.mean, self.scale = mean.float(), float((data.d_in / covariance.trace().clamp(min=1e-30)).sqrt())
        if config.start == "pca":
            E = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :width].float()
        else:
            E = orthonormal(data.d_in, width, torch_stream(config.seed, "nested/head start"))
        parameters = [E.contiguous()]
        if data.classes:
            n = len(data.classes)
            parameters += [torch.zeros(m, n) for m in ((width,) if config.tied else config.widths)]
            parameters += [torch.zeros(n) for _ in config.widths]
        self.parameters = [parameter.requires_grad_() for parameter in parameters]
        self.optimiser = torch.optim.AdamW(self.parameters, lr=config.lr, weight_decay=config.weight_decay)

    @property
    def classifiers(self) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of every level."""
        widths = self.config.widths
        if len(self.parameters) == 1:
            return []
        biases = self.parameters[-len(widths) :]
        weights = self.parameters[1 : -len(widths)]
        own = [weights[0][:m] for m in widths] if self.config.tied else weights
        return list(zip(own, biases, strict=True))

    def train_on(self, x: Float[Tensor, "batch d_in"], label: Int[Tensor, " batch"] | None) -> float:
        """One step; the loss before it."""
        config = self.config
        scaled = (x - self.mean) * self.scale
        codes = scaled @ self.parameters[0]
        if label is None:
            loss = cosine_loss(codes, scaled, config.widths, config.weights)
        else:
            loss = class_loss(codes, label, config.widths, config.weights, self.classifiers)
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss is {loss.item()} at step {self.step}: check the rows, or lower lr")
        rate = config.lr * warmup_stable_decay(self.step, config.n_steps, WARMUP, DECAY)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.step += 1
        return loss.item()

    def head(self, data: _Data) -> MatryoshkaHead:
        """What was learned, for rows as they are."""
        classifiers = [Classifier(W.detach().clone(), b.detach().clone()) for W, b in self.classifiers]
        return MatryoshkaHead(
            self.mean,
            self.parameters[0].detach() * self.scale,
            self.config.widths,
            classes=data.classes,
            classifiers=classifiers,
            source=data.source,
        )

    def save(self, path: Path) -> None:
        """Parameters, moments and the step, as one file replaced whole."""
        states = [self.optimiser.state[parameter] for parameter in self.parameters]
        tensors = {f"parameter.{i}": parameter for i, parameter in enumerate(self.parameters)}
        for i, state in enumerate(states):
            tensors |= {f"{name}.{i}": state[name] for name in ("exp_avg", "exp_avg_sq")}
        write_tensors(path, tensors, {"step": str(self.step)})

    @torch.no_grad()
    def restore(self, path: Path) -> None:
        """The inverse of `save`."""
        parts = ("parameter", "exp_avg", "exp_avg_sq")
        names = [f"{part}.{i}" for part in parts for i in range(len(self.parameters))]
        hint = "delete the folder and train again"
        tensors, metadata = read_tensors(path, CheckpointError, hint=hint, names=names)
        step = int(metadata.get("step", -1))
        if step < 0:
            raise CheckpointError(f"{path} says nothing of its step: {hint}")
        state: dict[int, dict[str, Tensor]] = {}
        for i, parameter in enumerate(self.parameters):
            if tensors[f"parameter.{i}"].shape != parameter.shape:
                raise CheckpointError(f"{path} belongs to another training: {hint}")
            parameter.copy_(tensors[f"parameter.{i}"])
            state[i] = {name: tensors[f"{name}.{i}"] for name in parts[1:]}
            state[i]["step"] = torch.tensor(float(step))
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.step = step
