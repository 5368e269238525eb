"""Whatever is public says what is wrong with an argument: no bare TypeError, no AttributeError from far below."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import msae
from msae.core.checked import ArgumentError
from msae.core.errors import ConfigError, MsaeError

CALLED = sorted(
    name
    for name in msae.__all__
    if callable(getattr(msae, name)) and not (inspect.isclass(getattr(msae, name)) and name.endswith("Error"))
)


class Nothing:
    """Of no type that anything takes."""

    def __repr__(self) -> str:
        return "Nothing()"


def parameters(function: object) -> list[inspect.Parameter]:
    return [
        parameter
        for parameter in inspect.signature(function).parameters.values()  # type: ignore[arg-type]
        if parameter.name not in ("self", "cls", "args", "kwargs")
    ]


def wrong_calls(function: object) -> Iterator[tuple[str, list[object], dict[str, object]]]:
    """A call in which everything is wrong, and one for each keyword."""
    given: list[object] = []
    required: dict[str, object] = {}
    for parameter in parameters(function):
        if parameter.default is parameter.empty and parameter.kind is parameter.KEYWORD_ONLY:
            required[parameter.name] = Nothing()
        elif parameter.kind is parameter.VAR_POSITIONAL or parameter.default is parameter.empty:
            given.append(Nothing())
    if given or required:
        yield "all", given, required
    for parameter in parameters(function):
        if parameter.default is not parameter.empty and not given and not required:
            yield parameter.name, [], {parameter.name: Nothing()}


@pytest.mark.parametrize("name", CALLED)
def test_an_argument_of_no_right_type_is_named(name: str) -> None:
    function = getattr(msae, name)
    calls = list(wrong_calls(function))
    if not parameters(function):
        return
    assert calls
    for what, given, named in calls:
        with pytest.raises(MsaeError) as refused:
            made = function(*given, **named)
            if hasattr(made, "__enter__"):
                made.__enter__()
        assert "Nothing" in str(refused.value) or "expected" in str(refused.value), (what, refused.value)
        assert "\n" not in str(refused.value)


def test_the_message_names_function_argument_value_and_type() -> None:
    with pytest.raises(ArgumentError, match=r"^TrainConfig: batch_size = 128\.5: expected int$"):
        msae.TrainConfig(n_tokens=4096, batch_size=128.5)
    with pytest.raises(ArgumentError, match=r"^train: store = None: expected ActivationStore$"):
        msae.train(new(), None, msae.TrainConfig(n_tokens=4096), "run")
    rows = torch.zeros(4, 3)
    with pytest.raises(
        ArgumentError, match=r"^decode: codes = a Tensor of torch\.float32 and shape \(4, 3\): expected "
    ):
        new().decode(rows)
    assert isinstance(ArgumentError("x"), TypeError | ConfigError)
    assert msae.TrainConfig(n_tokens=4096, lr=1).lr == 1, "a whole number is a number"


def new() -> msae.SparseAutoencoder:
    return msae.SparseAutoencoder(8, 16, msae.BatchTopK(k=2), msae.FixedPrefixes((4, 16)))


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(3, 9),
        torch.zeros(8),
        torch.zeros(2, 2, 8),
        torch.zeros(2, 8, dtype=torch.complex64),
        np.zeros((2, 9)),
        np.full((2, 8), "x"),
        [[0.0] * 8],
        None,
        "rows",
    ],
    ids=str,
)
def test_rows_that_are_none(x: object, tmp_path) -> None:
    sae = new()
    trainer = msae.Trainer(sae, msae.TrainConfig(n_tokens=64, batch_size=2))
    for call in (sae.encode, sae.forward, trainer.step, lambda x: msae.save(sae, tmp_path, probe=x)):
        with pytest.raises(MsaeError):
            call(x)
    assert not list(tmp_path.iterdir())


def test_rows_that_are_complex_are_no_activations() -> None:
    for array in (torch.zeros(4, 8, dtype=torch.complex64), np.zeros((4, 8), np.complex128), np.zeros((4, 8), int)):
        with pytest.raises(MsaeError, match="activations are floating-point numbers"):
            msae.ArraySource(array)


def test_a_probe_with_nan_is_not_saved(tmp_path) -> None:
    sae = new()
    sae.threshold.data.fill_(0.1)
    with pytest.raises(MsaeError, match="probe rows hold values that are not finite"):
        msae.save(sae, tmp_path / "sae", probe=torch.full((4, 8), torch.nan))
    assert not (tmp_path / "sae").exists()


def test_a_step_past_the_end_is_refused() -> None:
    trainer = msae.Trainer(new(), msae.TrainConfig(n_tokens=8, batch_size=4))
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    trainer.step(x)
    trainer.step(x)
    with pytest.raises(MsaeError, match="2 of 2"):
        trainer.step(x)
    assert trainer.steps_done == 2


@pytest.mark.parametrize("name", CALLED)
def test_the_types_of_arguments_are_there_when_they_are_checked(name: str) -> None:
    """A name imported for type checkers alone would fail in the middle of a call."""
    public = getattr(msae, name)
    functions = [public]
    if inspect.isclass(public):
        named = [value for key, value in vars(public).items() if key == "__init__" or not key.startswith("_")]
        functions = [value.__func__ if isinstance(value, classmethod | staticmethod) else value for value in named]
    for function in filter(inspect.isfunction, functions):
        bare = inspect.unwrap(function)
        scope = dict(vars(typing))
        for parameter, hint in bare.__annotations__.items():
            if parameter != "return" and isinstance(hint, str):
                eval(hint, scope | bare.__globals__)
