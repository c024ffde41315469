"""`stream-monitor run`: the monitor itself, all stages in one process or one of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from stream_monitor.cli.options import DEFAULT_CONFIG, ConfigFile
from stream_monitor.errors import UsageError


class Role(StrEnum):
    REPARTITION = "repartition"
    INGEST = "ingest"
    EVALUATE = "evaluate"
    REACT = "react"


def run(
    config: ConfigFile = DEFAULT_CONFIG,
    role: Annotated[Role | None, typer.Option(help="Run only this stage; default: all that the config needs.")] = None,
    instance: Annotated[
        str | None, typer.Option(metavar="ID", help="Name of this instance; default: the host's name.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, max=64, help="Start so many ingest processes, ID-0, ID-1, …; 0: ingest in this one.")
    ] = 0,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Override prometheus.port.")] = None,
) -> None:
    """Run the monitor until SIGTERM or Ctrl-C, which drain it."""
    if workers and role not in (None, Role.INGEST):
        raise UsageError(f"--workers starts ingest processes and does not go with --role {role}")
    from stream_monitor.app.run import run_monitor

    run_monitor(config, role=None if role is None else role.value, instance=instance, workers=workers, port=port)
