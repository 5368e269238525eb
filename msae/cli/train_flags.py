"""Flags of `msae train` that come from lists: activation functions with their settings, and kernels.

The lists need torch, which takes seconds to load, so they are read only where `train` is the command.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import MISSING, make_dataclass, replace
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
    usual = f"{labels[0]} by default; with --from that of the SAE"
    choices: list[tuple[str, Any, Any]] = [
        ("activation", Annotated[Literal[labels] | None, arg(help=f"Which latents fire; {usual}.")], None),
        ("kernel", Annotated[Literal[KERNEL_NAMES], arg(help="How a step is computed; results agree.")], AUTO),
    ]
    for flag, users in _users().items():
        field = users[0].settings()[flag]
        kind = get_type_hints(users[0])[field.name] | None
        names = ", ".join(user.label() for user in users)
        value = "required" if field.default is MISSING else f"{field.default} by default"
        choices.append((flag, Annotated[kind, arg(help=f"{field.metadata['help']} Only for {names}; {value}.")], None))
    made = make_dataclass(command.__name__, choices, bases=(command,), frozen=True, kw_only=True)
    made.__doc__ = command.__doc__
    return made


def activation_fn(command: Any, start: ActivationFunction | None = None) -> ActivationFunction:
    """The activation function that a command's flags describe; `ConfigError` where they do not belong together.

    `start`: that of the SAE to continue from, kept unless a flag gives something else.
    """
    from msae.sae import ACTIVATION_FNS

    by_label = {cls.label(): cls for cls in ACTIVATION_FNS.values()}
    kept = start if command.activation is None else None
    label = command.activation or (next(iter(by_label)) if start is None else start.label())
    cls = by_label[label]
    for flag, users in _users().items():
        if getattr(command, flag, None) is not None and cls not in users:
            names = " or ".join(user.label() for user in users)
            raise ConfigError(f"--{_dashed(flag)} belongs to --activation {names}, not to {label}")
    given: dict[str, Any] = {}
    for flag, field in cls.settings().items():
        value = getattr(command, flag, None)
        if value is not None:
            given[field.name] = value
        elif field.default is MISSING and kept is None:
            raise ConfigError(f"--activation {label} needs --{_dashed(flag)}")
    if cls.l0_setting is None and command.k is not None:
        raise ConfigError(f"--k {command.k}: {label} has no target L0: leave --k out")
    if cls.l0_setting is not None and (kept is None or command.k is not None):
        if cls.whole_l0 and command.k is not None and command.k != int(command.k):
            raise ConfigError(f"--k {command.k}: {label} keeps a whole number of latents a token")
        of_start = start.target_l0() if start is not None else None
        k = (of_start or DEFAULT_L0) if command.k is None else command.k
        given[cls.l0_setting] = round(k) if cls.whole_l0 else k
    return cls(**given) if kept is None else replace(kept, **given)


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
