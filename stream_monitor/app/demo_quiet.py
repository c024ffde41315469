"""What would spoil the demo's screen, or lead it to a real broker, kept away while it runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from stream_monitor.app.environment import PREFIX


@contextmanager
def without_overrides() -> Iterator[None]:
    """Environment variables that override a config are taken away: the demo must not follow them anywhere."""
    taken = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    try:
        yield
    finally:
        os.environ.update(taken)


@contextmanager
def logs_to(file: Path) -> Iterator[None]:
    """Log lines and Python warnings of every library go to the file."""
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with file.open("w", buffering=1, errors="replace") as out:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.PrintLoggerFactory(out),
            cache_logger_on_first_use=False,
        )
        root.handlers[:] = [logging.StreamHandler(out)]
        root.setLevel(logging.WARNING)
        logging.captureWarnings(True)
        try:
            yield
        finally:
            logging.captureWarnings(False)
            root.handlers[:] = handlers
            root.setLevel(level)
            structlog.configure(**before)


def log_tail(file: Path, lines: int = 20) -> str:
    """The last lines, for when something went wrong."""
    try:
        return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
