"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT_CONFIG = Path("stream-monitor.yaml")


def remembered(ctx: typer.Context, config: Path | None) -> Path | None:
    """Callback of an option: keeps the file for what an error says to do, see config_named()."""
    ctx.find_root().obj = config
    return config


def config_named(ctx: Any) -> Path | None:
    """The config file of the running command; None for one that takes none, or before it is read."""
    found = ctx.find_root().obj
    return found if isinstance(found, Path) else None


ConfigFile = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar="STREAM_MONITOR_CONFIG",
        callback=remembered,
        help="The config file (YAML).",
    ),
]
