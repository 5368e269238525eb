"""Strict, frozen configs: a dataclass to JSON and back, refusing what it does not know.

A config is a frozen, keyword-only dataclass that validates itself in ``__post_init__`` and never rewrites a field.
Where a field holds one of several classes (an activation function, a nesting), the JSON carries ``"type"`` and the
reader is given a registry of names.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from msae.core.errors import ConfigError

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """The fields of a dataclass as plain JSON values (tuples become lists)."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise ConfigError(f"to_dict takes a dataclass instance, got {config!r}")
    return {field.name: _to_json(getattr(config, field.name)) for field in dataclasses.fields(config) if field.init}


def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build `cls` from JSON values; a missing or unknown key raises `ConfigError` naming the nearest right one."""
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise ConfigError(f"{cls.__name__} has no field {key!r}{nearest(key, fields)}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise ConfigError(f"{cls.__name__} needs a value for {name!r}; it was given {sorted(values)}")
    return cls(**{key: _from_json(value) for key, value in values.items()})


def to_typed_dict(config: Any) -> dict[str, Any]:
    """`to_dict` with the class's name under ``"type"``."""
    return {"type": type(config).__name__, **to_dict(config)}


def from_typed_dict(registry: Mapping[str, type[T]], values: Mapping[str, Any]) -> T:
    """The inverse of `to_typed_dict`, looking ``"type"`` up in `registry`."""
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
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ConfigError(f"a config field holds {value!r}, which JSON has no form for")


def _from_json(value: Any) -> Any:
    return tuple(_from_json(item) for item in value) if isinstance(value, list) else value
