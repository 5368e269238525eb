"""The outputs of any `nn.Module` as a source: a convolutional network's channels, a vision transformer's patches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.data import default_collate

from msae.activations.arrays import numbered_contexts, numbers_of
from msae.activations.fingerprint import parameter_fingerprint
from msae.activations.source import ContextBatch
from msae.core.checked import checked
from msae.core.config import nearest, require
from msae.core.errors import SourceError
from msae.core.spec import SourceSpec
from msae.data.documents import Document


@runtime_checkable
class Examples(Protocol):
    """Inputs found by number: a tensor ``(example, ...)``, a list, a `torch.utils.data.Dataset`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


@checked
class ModuleSource:
    """The outputs of submodules of a module, run on `inputs`.

    `hook_name` or `hook_names`: submodules, by their names in `module.named_modules()` or as modules themselves. An
    output that is a tuple stands for its first tensor.
    `inputs`: examples found by number, all of one shape. An example that is a tuple stands for its first item (a data
    set's image and label); a mapping becomes keyword arguments.
    `feature_dim`: the dimension of a row in the output: −1 for transformers, 1 for convolutions (channels). All other
    dimensions but the first are positions: a row of numbers each. `name` is recorded as the model.
    `mask`: ``(example, position)``, false (or 0) at positions whose rows are left out. By default it is the
    ``attention_mask`` of inputs that are mappings, where it has as many positions as the output: padding is no row.

    There is no text: `contexts` reads no documents, and a row's `document` is its example's number, its `offset` its
    position in the output. The module is put in evaluation mode and run where its parameters are, without gradient,
    and only as far as the last submodule requested. Raises `SourceError` for a submodule it does not have, or an output
    that has no such rows.
    """

    def __init__(
        self,
        module: nn.Module,
        hook_name: str | nn.Module | None = None,
        *,
        inputs: Examples,
        hook_names: Sequence[str | nn.Module] | None = None,
        feature_dim: int = -1,
        mask: Tensor | np.ndarray | Sequence | None = None,
        batch_size: int = 32,
        name: str = "",
    ) -> None:
        require(batch_size > 0, "batch_size", batch_size, "a positive number of examples")
        require(len(inputs) > 0, "inputs", inputs, "at least one example")
        require(
            (hook_name is None) != (hook_names is None), "hook_name, hook_names", hook_names, "exactly one of the two"
        )
        self.module = module.eval()
        self.batch_size = batch_size
        self._inputs = inputs
        self._feature_dim = feature_dim
        wanted = [hook_name] if hook_name is not None else list(hook_names or ())
        self._submodules = dict(_find(module, submodule) for submodule in wanted)
        require(len(self._submodules) > 0, "hook_names", hook_names, "at least one submodule")
        self._specs = self._make_specs(name or type(module).__name__)
        shape = (len(inputs), next(iter(self._specs.values())).context_size)
        self._mask = None if mask is None else torch.as_tensor(mask).bool()
        if self._mask is not None and tuple(self._mask.shape) != shape:
            raise SourceError(f"mask has shape {tuple(self._mask.shape)}, these inputs and outputs call for {shape}")

    @property
    def specs(self) -> Mapping[str, SourceSpec]:
        """One `SourceSpec` per submodule, keyed by its name."""
        return self._specs

    def contexts(self, documents: Iterable[Document] = ()) -> Iterator[ContextBatch]:
        """The examples in order, a context each; `documents` are not read, and nothing is run."""
        positions = next(iter(self._specs.values())).context_size
        for start in range(0, len(self._inputs), self.batch_size):
            examples = torch.arange(start, min(start + self.batch_size, len(self._inputs)))
            keep = self._mask[examples] if self._mask is not None else self._attention(examples.tolist(), positions)
            yield numbered_contexts(examples, positions, keep)

    def activations(self, batch: ContextBatch) -> dict[str, Float[Tensor, "batch context d_in"]]:
        """Every submodule's rows for the batch's examples, from one pass."""
        examples = numbers_of(batch).tolist()
        if max(examples) >= len(self._inputs):
            raise SourceError(f"the batch is not of these inputs: example {max(examples)} of {len(self._inputs)}")
        rows = self._rows(examples)
        if any(tensor.shape[1] != batch.token_ids.shape[1] for tensor in rows.values()):
            shapes = {name: tuple(tensor.shape) for name, tensor in rows.items()}
            raise SourceError(f"the batch has {batch.token_ids.shape[1]} positions, the module gave {shapes}")
        return rows

    def _attention(self, examples: list[int], positions: int) -> Bool[Tensor, "examples positions"] | None:
        """The inputs' own mask, if they have one of the outputs' length."""
        items = [_example(self._inputs[index]) for index in examples]
        own = [item[MASK] for item in items if isinstance(item, Mapping) and MASK in item]
        masks = [torch.as_tensor(mask) for mask in own]
        fits = len(masks) == len(items) and all(mask.shape == (positions,) for mask in masks)
        return torch.stack(masks).bool() if fits else None

    def _make_specs(self, model: str) -> dict[str, SourceSpec]:
        rows = self._rows([0])
        positions = {name: tensor.shape[1] for name, tensor in rows.items()}
        if len(set(positions.values())) > 1:
            raise SourceError(
                f"the submodules have different numbers of positions {positions}: make a ModuleSource for each"
            )
        revision = parameter_fingerprint(self.module)
        return {
            name: SourceSpec(
                kind="module",
                model=model,
                revision=revision,
                hook_name=name,
                d_in=tensor.shape[2],
                dtype=str(tensor.dtype).removeprefix("torch."),
                context_size=tensor.shape[1],
            )
            for name, tensor in rows.items()
        }

    @torch.no_grad()
    def _rows(self, examples: list[int]) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = {}

        def capture(name: str) -> Callable[..., None]:
            def hook(module: nn.Module, inputs: Any, output: Any) -> None:
                outputs[name] = self._positions_and_features(name, output, len(examples))
                if len(outputs) == len(self._submodules):
                    raise _AllCaptured

            return hook

        with contextlib.ExitStack() as stack:
            for name, submodule in self._submodules.items():
                stack.callback(submodule.register_forward_hook(capture(name)).remove)
            stack.enter_context(contextlib.suppress(_AllCaptured))
            self._run(default_collate([_example(self._inputs[index]) for index in examples]))
        if missing := self._submodules.keys() - outputs.keys():
            raise SourceError(f"the module ran without calling {sorted(missing)}")
        return {name: outputs[name] for name in self._submodules}

    def _run(self, inputs: Any) -> None:
        parameter = next(self.module.parameters(), None)
        to = (lambda tensor: tensor.to(parameter.device)) if parameter is not None else (lambda tensor: tensor)
        if isinstance(inputs, Mapping):
            self.module(**{name: to(value) for name, value in inputs.items()})
        else:
            self.module(to(inputs))

    def _positions_and_features(self, name: str, output: Any, n_examples: int) -> Tensor:
        tensor = output[0] if isinstance(output, tuple | list) and output else output
        if not isinstance(tensor, Tensor) or tensor.ndim < 2 or len(tensor) != n_examples:
            found = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise SourceError(f"{name or 'the module'} gave {found} for {n_examples} examples, expected (example, ...)")
        if not -tensor.ndim < self._feature_dim < tensor.ndim or self._feature_dim == 0:
            raise SourceError(f"feature_dim={self._feature_dim} is no dimension of a row in {tuple(tensor.shape)}")
        return tensor.movedim(self._feature_dim, -1).reshape(n_examples, -1, tensor.shape[self._feature_dim])


MASK = "attention_mask"


class _AllCaptured(Exception):  # noqa: N818
    """Ends a pass whose remaining submodules are not needed."""


def _example(item: Any) -> Any:
    return item[0] if isinstance(item, tuple | list) else item


def _find(module: nn.Module, submodule: str | nn.Module) -> tuple[str, nn.Module]:
    names = dict(module.named_modules())
    if isinstance(submodule, nn.Module):
        found = [name for name, candidate in names.items() if candidate is submodule]
        if not found:
            raise SourceError(f"the {type(submodule).__name__} given is no submodule of the {type(module).__name__}")
        return found[0], submodule
    if submodule not in names:
        raise SourceError(f"the {type(module).__name__} has no submodule {submodule!r}{nearest(submodule, names)}")
    return submodule, names[submodule]
