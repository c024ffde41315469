"""How commands end: an error raised on purpose is one sentence on stderr and its own exit code, never a traceback."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperGroup

from stream_monitor.cli.options import config_named
from stream_monitor.errors import ConfigError, StreamMonitorError

_ANY_CONFIG: Final = re.compile(r"(?<=-c )FILE\b|(?<=bootstrap\.servers in )FILE\b")  # in commands that mend


class Commands(TyperGroup):
    """A command group whose commands may raise StreamMonitorError."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except StreamMonitorError as error:
            say(error, config_named(ctx))
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:
            # The reader of our output (head, less) has gone; the flush at exit must not meet the closed pipe again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None


def say(error: StreamMonitorError, config: Path | None = None) -> None:
    """On stderr. Commands that mend name `config` where it is known, so that they can be copied."""

    def named(text: str) -> str:
        return text if config is None else _ANY_CONFIG.sub(lambda _: shlex.quote(str(config)), text)

    if isinstance(error, ConfigError):
        count = len(error.problems)
        typer.secho(f"The config has {count} problem{'' if count == 1 else 's'}:", fg="red", err=True)
        for problem in error.problems:
            typer.echo(f"  {named(str(problem))}", err=True)
    else:
        typer.secho("Error: ", fg="red", err=True, nl=False)
        typer.echo(named(str(error)), err=True)
