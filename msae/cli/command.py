"""The `msae` command: which subcommand is meant, and how errors are printed."""

from __future__ import annotations

import io
import os
import sys
import warnings
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Union

import tyro
from tyro.conf import OmitSubcommandPrefixes, subcommand

from msae.cli.adopt import Adopt
from msae.cli.analyze import Analyze
from msae.cli.classify import Classify
from msae.cli.compare import Compare
from msae.cli.dashboard import Dashboard, ExportHtml
from msae.cli.demo import Demo
from msae.cli.embed import Embed
from msae.cli.evaluate import Eval
from msae.cli.harvest import Harvest
from msae.cli.index import IndexTexts
from msae.cli.info import Info
from msae.cli.messages import in_flags
from msae.cli.nest import Nest
from msae.cli.search import Search
from msae.cli.train import Train
from msae.cli.train_flags import with_flags_from_lists
from msae.core.errors import MsaeError
from msae.core.stopping import TerminatedError, terminable

DEBUG = "--debug"
GOES_ON = "The same command continues a harvest, and with --resume a run."
COMMANDS = {
    "demo": Demo,
    "harvest": Harvest,
    "train": Train,
    "adopt": Adopt,
    "eval": Eval,
    "analyze": Analyze,
    "compare": Compare,
    "dashboard": Dashboard,
    "export-html": ExportHtml,
    "nest": Nest,
    "embed": Embed,
    "classify": Classify,
    "index": IndexTexts,
    "search": Search,
    "info": Info,
}


def main() -> None:
    """The `msae` command. An error is one line on standard error, with ``--debug`` anywhere the traceback as well.

    Exit status: 2 for what the user can mend, 1 for what only msae's authors can, 130 and 143 when it was stopped.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files and arguments that are no UTF-8
    debug = DEBUG in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != DEBUG]
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        flags: list[str] = []
        try:
            _run(flags)
        except Exception as error:
            if debug:
                raise
            status, text = _outcome(error)
            text = in_flags(text, flags) if status == 2 else text
        except TerminatedError as stopped:
            status, text = 143, f"terminated{_where(stopped)}. {GOES_ON}"
        except KeyboardInterrupt as stopped:
            status, text = 130, f"stopped{_where(stopped)}. {GOES_ON}"
        else:
            return
    if text:
        print(f"msae: {text}", file=sys.stderr)
    raise SystemExit(status)


def _run(flags: list[str]) -> None:
    """Parse, and do it; `flags` gets the fields of the command."""
    command = tyro.cli(
        _subcommands(sys.argv[1:2]),
        prog="msae",
        description="Train, measure and browse Matryoshka (nested) sparse autoencoders. "
        f"With {DEBUG}, an error shows where it was raised.",
        config=(OmitSubcommandPrefixes,),
    )
    flags += [field.name for field in fields(command)]
    flags += [field.name for part in vars(command).values() if is_dataclass(part) for field in fields(part)]
    with terminable():
        command.run()
        sys.stdout.flush()


def _outcome(error: Exception) -> tuple[int, str]:
    """The exit status, and what to print."""
    if isinstance(error, BrokenPipeError):
        # Whoever read the output has gone, as in `msae info RUN | head`; what is still to be flushed goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0, ""
    text = " ".join(str(error).split())
    if isinstance(error, MsaeError):
        return 2, text
    if isinstance(error, MemoryError):
        return 2, text or "there is not enough memory"
    if isinstance(error, OSError):
        return 2, text
    what = f"{type(error).__name__}: {text}"
    return 1, f"{what} (a fault of msae's: please report it, with what the same command prints with {DEBUG})"


def _where(stopped: KeyboardInterrupt) -> str:
    return f" {stopped}" if str(stopped) else ""


def _show_warning(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
    text = " ".join(str(message).split())
    print(f"msae: {'' if category is UserWarning else category.__name__ + ': '}warning: {text}", file=sys.stderr)


def _subcommands(requested: list[str]) -> Any:
    """The union of all commands; the one requested with the flags that come from lists."""
    classes = {
        name: with_flags_from_lists(cls) if cls is Train and name in requested else cls
        for name, cls in COMMANDS.items()
    }
    return Union[tuple(Annotated[cls, subcommand(name)] for name, cls in classes.items())]  # noqa: UP007
