"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_CONFIG = Path("stream-monitor.yaml")

ConfigFile = Annotated[
    Path,
    typer.Option("--config", "-c", metavar="FILE", envvar="STREAM_MONITOR_CONFIG", help="The config file (YAML)."),
]
