"""What is said of an error raised on purpose: one sentence on stderr, never a traceback."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import typer

from stream_monitor.app.redaction import redact
from stream_monitor.errors import ConfigError, StreamMonitorError

_ANY_CONFIG: Final = re.compile(r"(?<=-c )FILE\b|(?<=bootstrap\.servers in )FILE\b")  # in commands that mend


def as_said(text: str, config: Path | None) -> str:
    """Without secrets, and with `config` where commands name a FILE."""
    text = redact(text)
    return text if config is None else _ANY_CONFIG.sub(lambda _: shlex.quote(str(config)), text)


def say(error: StreamMonitorError, config: Path | None = None) -> None:
    """On stderr, without secrets. Commands that mend name `config` where it is known, so that they can be copied."""
    if isinstance(error, ConfigError):
        count = len(error.problems)
        typer.secho(f"The config has {count} problem{'' if count == 1 else 's'}:", fg="red", err=True)
        for problem in error.problems:
            typer.echo(f"  {as_said(str(problem), config)}", err=True)
    else:
        typer.secho("Error: ", fg="red", err=True, nl=False)
        typer.echo(as_said(str(error), config), err=True)
