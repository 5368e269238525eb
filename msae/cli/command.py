"""The `msae` command: which subcommand is meant, and how errors are said."""

from __future__ import annotations

import sys
from typing import Annotated

import tyro
from tyro.conf import OmitSubcommandPrefixes, subcommand

from msae.cli.adopt import Adopt
from msae.cli.analyze import Analyze
from msae.cli.compare import Compare
from msae.cli.dashboard import Dashboard, ExportHtml
from msae.cli.demo import Demo
from msae.cli.evaluate import Eval
from msae.cli.harvest import Harvest
from msae.cli.info import Info
from msae.cli.train import Train
from msae.core.errors import MsaeError

Command = (
    Annotated[Demo, subcommand("demo")]
    | Annotated[Harvest, subcommand("harvest")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Adopt, subcommand("adopt")]
    | Annotated[Eval, subcommand("eval")]
    | Annotated[Analyze, subcommand("analyze")]
    | Annotated[Compare, subcommand("compare")]
    | Annotated[Dashboard, subcommand("dashboard")]
    | Annotated[ExportHtml, subcommand("export-html")]
    | Annotated[Info, subcommand("info")]
)


def main() -> None:
    """The `msae` command. Exit status 2 for anything the user can mend, with one line that says how."""
    command = tyro.cli(
        Command, prog="msae", description="Nested sparse autoencoders.", config=(OmitSubcommandPrefixes,)
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
            "msae: stopped. Called again, a harvest goes on where it stood, so does a run (--resume).", file=sys.stderr
        )
        raise SystemExit(130) from None
