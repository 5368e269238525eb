"""The `msae` command: which subcommand is meant, and how errors are printed."""

from __future__ import annotations

import sys
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
from msae.cli.nest import Nest
from msae.cli.search import Search
from msae.cli.train import Train
from msae.cli.train_flags import with_flags_from_lists
from msae.core.errors import MsaeError

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
    """The `msae` command. Exit status 2 for anything the user can mend, with one line on how."""
    command = tyro.cli(
        _subcommands(sys.argv[1:2]),
        prog="msae",
        description="Train, measure and browse Matryoshka (nested) sparse autoencoders.",
        config=(OmitSubcommandPrefixes,),
    )
    try:
        command.run()
    except MsaeError as error:
        print(f"msae: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:
        sys.stderr.close()  # whoever read the output has gone, as in `msae info RUN | head`
    except KeyboardInterrupt:
        print(
            "msae: stopped. The same command continues a harvest, and with --resume a run.",
            file=sys.stderr,
        )
        raise SystemExit(130) from None


def _subcommands(requested: list[str]) -> Any:
    """The union of all commands; the one requested with the flags that come from lists."""
    classes = {
        name: with_flags_from_lists(cls) if cls is Train and name in requested else cls
        for name, cls in COMMANDS.items()
    }
    return Union[tuple(Annotated[cls, subcommand(name)] for name, cls in classes.items())]  # noqa: UP007
