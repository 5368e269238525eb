"""Flags of `msae train` that come from lists: activation functions with their settings, and kernels.

The lists need torch, which takes seconds to load, so they are read only where `train` is the command.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import MISSING, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_type_hints

from tyro.conf import arg

from msae.core.errors import ConfigError

if TYPE_CHECKING:
    from msae.sae import ActivationFunction

T = TypeVar("T")
DEFAULT_L0 = 32


def with_flags_from_lists(command: type[T]) -> type[T]:
    """`command` with the choices of ``--activation`` and ``--kernel``, and a flag for each setting there is."""
    from msae.sae import ACTIVATION_FNS
    from msae.sae.kernels import AUTO, KERNEL_NAMES

    labels = tuple(cls.label() for cls in ACTIVATION_FNS.values())
    choices: list[tuple[str, Any, Any]] = [
        ("activation", Annotated[Literal[labels], arg(help="Which latents fire.")], labels[0]),
        (
            "kernel",
            Annotated[Literal[KERNEL_NAMES], arg(help="How a step is computed; results agree.")],
            AUTO,
        ),
    ]
    for flag, users in _users().items():
        field = users[0].settings()[flag]
        kind = get_type_hints(users[0])[field.name] | None
        names = ", ".join(user.label() for user in users)
        usual = "required" if field.default is MISSING else f"{field.default} by default"
        choices.append((flag, Annotated[kind, arg(help=f"{field.metadata['help']} Only for {names}; {usual}.")], None))
    made = make_dataclass(command.__name__, choices, bases=(command,), frozen=True, kw_only=True)
    made.__doc__ = command.__doc__
    return made


def activation_fn(command: Any) -> ActivationFunction:
    """The activation function that a command's flags describe; `ConfigError` where they do not belong together."""
    from msae.sae import ACTIVATION_FNS

    by_label = {cls.label(): cls for cls in ACTIVATION_FNS.values()}
    cls, label = by_label[command.activation], command.activation
    for flag, users in _users().items():
        if getattr(command, flag, None) is not None and cls not in users:
            names = " or ".join(user.label() for user in users)
            raise ConfigError(f"--{_dashed(flag)} belongs to --activation {names}, not to {label}")
    given: dict[str, Any] = {}
    for flag, field in cls.settings().items():
        value = getattr(command, flag, None)
        if value is not None:
            given[field.name] = value
        elif field.default is MISSING:
            raise ConfigError(f"--activation {label} needs --{_dashed(flag)}")
    if cls.l0_setting is None:
        if command.k is not None:
            raise ConfigError(f"--k {command.k}: {label} has no target L0: leave --k out")
        return cls(**given)
    k = DEFAULT_L0 if command.k is None else command.k
    if cls.whole_l0 and k != int(k):
        raise ConfigError(f"--k {k}: {label} keeps a whole number of latents a token")
    return cls(**{cls.l0_setting: int(k) if cls.whole_l0 else k}, **given)


def _users() -> dict[str, list[type[ActivationFunction]]]:
    """The activation functions that have a setting of a flag's name, by flag."""
    from msae.sae import ACTIVATION_FNS

    users = defaultdict(list)
    for cls in ACTIVATION_FNS.values():
        for flag in cls.settings():
            users[flag].append(cls)
    return users


def _dashed(flag: str) -> str:
    return flag.replace("_", "-")
