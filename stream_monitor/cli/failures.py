"""How commands end: an error raised on purpose is one sentence on stderr and its own exit code, never a traceback."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from stream_monitor.errors import ConfigError, StreamMonitorError


class Commands(TyperGroup):
    """A command group whose commands may raise StreamMonitorError."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except StreamMonitorError as error:
            say(error)
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:
            # The reader of our output (head, less) has gone; the flush at exit must not meet the closed pipe again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None


def say(error: StreamMonitorError) -> None:
    if isinstance(error, ConfigError):
        count = len(error.problems)
        typer.secho(f"The config has {count} problem{'' if count == 1 else 's'}:", fg="red", err=True)
        for problem in error.problems:
            typer.echo(f"  {problem}", err=True)
    else:
        typer.secho("Error: ", fg="red", err=True, nl=False)
        typer.echo(str(error), err=True)
