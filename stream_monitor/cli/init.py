"""`stream-monitor init`: write a first config, never over an existing file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_monitor.cli.options import DEFAULT_CONFIG
from stream_monitor.cli.starter import STARTER
from stream_monitor.errors import StreamMonitorError


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")] = DEFAULT_CONFIG,
) -> None:
    """Write a commented config to start from."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as out:
            out.write(STARTER)
    except FileExistsError:
        raise StreamMonitorError(f"{file} exists and is left alone", mend="name another file") from None
    except OSError as error:
        raise StreamMonitorError(f"{file} cannot be written: {error.strerror}") from None
    typer.echo(f"Wrote {file}. Next: edit it, then stream-monitor validate -c {file}")
