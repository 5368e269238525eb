"""Calls with arguments of another type than declared, refused by name and value before anything is done with them."""

from __future__ import annotations

import functools
import inspect
import re
import types
from typing import Any, TypeVar

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeCallHintParamViolation

from msae.core.errors import ConfigError

T = TypeVar("T")

_VIOLATION = re.compile(r".*?([\w.]+)\(\) parameter (\w+)=(.*) violates type hint (.*?)(?:, as .*|\.)?$", re.DOTALL)
_QUALIFIED = re.compile(r"<class '([^<>]*)'>|\b(?:[a-z_]\w*\.)+(?=\w)")


class ArgumentError(ConfigError, BeartypeCallHintParamViolation, TypeError):
    """An argument is of another type than the function takes. The message names function, argument, value and type."""

    def __init__(self, message: str, culprits: tuple[object, ...] = (), **more: Any) -> None:
        found = _VIOLATION.match(message)
        if found is None:
            text = " ".join(message.split())
        else:
            function, name, value, expected = found.groups()
            *owner, called = function.split(".")
            where = owner[-1] if called == "__init__" and owner else called
            given = _described(culprits[0]) if culprits else value
            text = f"{where}: {name} = {_short(given)}: expected {_short(_plain(expected))}"
        Exception.__init__(self, text)
        self._text = text

    def __str__(self) -> str:
        return self._text


def checked(decorated: T) -> T:
    """A function, or a class with its public methods, that raises `ArgumentError` for arguments that are not of the
    types it declares; shapes and dtypes of tensors are part of them. A whole number is a number."""
    if not isinstance(decorated, type):
        return _checked_function(decorated)
    for name, value in list(vars(decorated).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(value, classmethod | staticmethod):
            setattr(decorated, name, type(value)(_checked_function(value.__func__)))
        elif inspect.isfunction(value):
            setattr(decorated, name, _checked_function(value))
    return decorated


def _checked_function(function: Any) -> Any:
    if hasattr(function, "__wrapped__"):  # another decorator's, whose own code takes anything
        return _check(function)
    # What is returned is no caller's fault, and its type may be one that is imported for type checkers alone.
    alone = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    alone.__kwdefaults__, alone.__qualname__ = function.__kwdefaults__, function.__qualname__
    alone.__module__ = function.__module__
    alone.__annotations__ = {name: hint for name, hint in function.__annotations__.items() if name != "return"}
    return functools.wraps(function)(_check(alone))


_check: Any = beartype(conf=BeartypeConf(violation_param_type=ArgumentError, is_pep484_tower=True))


def _described(value: object) -> str:
    """A value as a message shows it: of arrays kind, dtype and shape."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        return f"a {type(value).__name__} of {dtype} and shape {tuple(shape)}"
    return repr(value)


def _plain(hint: str) -> str:
    """A type hint without the modules that its types are from."""
    return _QUALIFIED.sub(lambda found: (found[1] or "").rpartition(".")[2] if found[1] else "", hint)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 120 else f"{text[:117]}..."
