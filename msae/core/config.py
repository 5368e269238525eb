"""Strict, frozen configs: a dataclass to JSON and back, refusing what it does not know.

A config is a frozen, keyword-only dataclass that validates itself in ``__post_init__`` and never rewrites a field.
Its fields may be configs themselves, alone or in tuples and mappings: JSON is read by the types that fields declare,
all the way down. Where a field holds one of several classes (an activation function, a nesting), the JSON carries
``"type"`` and the reader is given a registry of names.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union

from msae.core.errors import ConfigError

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """The fields of a dataclass as plain JSON values (tuples become lists)."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise ConfigError(f"to_dict takes a dataclass instance, got {config!r}")
    return {field.name: _to_json(getattr(config, field.name)) for field in dataclasses.fields(config) if field.init}


def from_dict(cls: type[T], values: Any) -> T:
    """Build `cls`, and the configs within it, from JSON values.

    Raises `ConfigError` naming the field for a missing or unknown key (with the nearest right one), and for a value
    that is not of the type the field declares; numbers must be finite.
    """
    name = cls.__name__
    if not isinstance(values, Mapping):
        raise ConfigError(f"{name} is made from an object of its fields, not from {_shown(values)}")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise ConfigError(f"{name} has no field {key!r}{nearest(str(key), fields)}")
    for key, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and key not in values:
            raise ConfigError(f"{name} needs a value for {key!r}; it was given {sorted(values)}")
    hints = _hints(cls)  # type: ignore[arg-type]
    return cls(**{key: _from_json(value, hints[key], f"{name}.{key}") for key, value in values.items()})


def to_typed_dict(config: Any) -> dict[str, Any]:
    """`to_dict` with the class's name under ``"type"``."""
    return {"type": type(config).__name__, **to_dict(config)}


def from_typed_dict(registry: Mapping[str, type[T]], values: Any) -> T:
    """The inverse of `to_typed_dict`, looking ``"type"`` up in `registry`."""
    if not isinstance(values, Mapping):
        raise ConfigError(f'an object with a "type" was expected, one of {sorted(registry)}, not {_shown(values)}')
    name = values.get("type")
    if not isinstance(name, str) or name not in registry:
        raise ConfigError(f"unknown type {name!r}{nearest(str(name), registry)}; known: {sorted(registry)}")
    return from_dict(registry[name], {key: value for key, value in values.items() if key != "type"})


def nearest(name: str, names: Any) -> str:
    """``"; did you mean 'x'?"`` for the closest of `names`, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(repr(match) for match in close)}?" if close else ""


def require(condition: bool, field: str, value: object, expected: str) -> None:
    """Raise `ConfigError` naming the field, its value and what would be right, unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{field} = {value!r}: expected {expected}")


def _to_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"a config field holds {value!r}, which JSON has no form for")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ConfigError(f"a config field holds {value!r}, which JSON has no form for")


@lru_cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _from_json(value: Any, declared: Any, name: str) -> Any:
    """`value` as the type that a field declares; lists become tuples, objects the configs they describe."""
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin in (Union, types.UnionType):
        return _first_that_fits(value, arguments, name)
    if dataclasses.is_dataclass(declared):
        return value if isinstance(value, declared) else from_dict(declared, value)  # type: ignore[arg-type]
    if origin is Literal:
        fits = any(value == allowed and type(value) is type(allowed) for allowed in arguments)
        return _expect(fits, value, name, f"one of {list(arguments)}")
    if origin is tuple or (origin is not None and issubclass(origin, Sequence)):
        _expect(isinstance(value, list | tuple), value, name, "a list")
        any_length = origin is not tuple or arguments[-1] is Ellipsis
        each = (arguments[0],) * len(value) if any_length else arguments
        _expect(len(each) == len(value), value, name, f"a list of {len(each)}")
        return tuple(_from_json(value[place], of, f"{name}[{place}]") for place, of in enumerate(each))
    if origin is not None and issubclass(origin, Mapping):
        _expect(isinstance(value, Mapping), value, name, "an object")
        return {str(key): _from_json(item, arguments[1], f"{name}[{key!r}]") for key, item in value.items()}
    if declared in _PLAIN:
        kinds, expected = _PLAIN[declared]
        fits = isinstance(value, kinds) and (declared is bool or not isinstance(value, bool))
        return _expect(fits and not (isinstance(value, float) and not math.isfinite(value)), value, name, expected)
    return tuple(value) if isinstance(value, list) else value


_PLAIN: dict[Any, tuple[Any, str]] = {
    int: (int, "a whole number"),
    float: ((int, float), "a finite number"),
    str: (str, "text"),
    bool: (bool, "true or false"),
    type(None): (type(None), "null"),
}


def _first_that_fits(value: Any, choices: tuple[Any, ...], name: str) -> Any:
    reasons = []
    for choice in choices:
        try:
            return _from_json(value, choice, name)
        except ConfigError as error:
            reasons.append(error)
    expected = [str(reason).partition("expected ")[2] or str(reason) for reason in reasons]
    raise ConfigError(f"{name} = {_shown(value)}: expected {', or '.join(dict.fromkeys(expected))}")


def _expect(fits: bool, value: Any, name: str, expected: str) -> Any:
    if not fits:
        raise ConfigError(f"{name} = {_shown(value)}: expected {expected}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
