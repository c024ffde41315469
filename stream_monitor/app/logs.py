"""Log lines of a running monitor on stderr: JSON when piped, readable ones on a terminal; never with a secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Final, TextIO

import structlog

from stream_monitor.app.redaction import redact
from stream_monitor.kafka.client_log import CLIENT_LOG

# An alert's summary says the same in words.
_FOR_MACHINES: Final = frozenset({"event_id", "fingerprint", "labels"})


Renderer = Callable[[Any, str, structlog.typing.EventDict], str | bytes]


def configure_logs(stream: TextIO | None = None) -> None:
    """Sets up structlog and sends the standard library's warnings (faust, aiokafka, librdkafka) through it."""
    out = stream if stream is not None else sys.stderr
    terminal = out.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if terminal:
        shared.append(_for_eyes)
        # Its own choice of a traceback would be one of rich, with the values of all local variables.
        render: Renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    else:
        shared.append(structlog.processors.format_exc_info)
        render = structlog.processors.JSONRenderer()

    def last(logger: Any, name: str, event: structlog.typing.EventDict) -> str:
        """Looked at is the whole line: a secret may stand in a traceback or in the text of any object."""
        return redact(str(render(logger, name, event)))

    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # Looked up at each use, and not kept: whoever replaces sys.stderr later gets the lines.
        logger_factory=lambda *_: structlog.PrintLogger(stream if stream is not None else sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # librdkafka itself decides what it says, by log_level and debug.
    CLIENT_LOG.setLevel(logging.DEBUG)


def _for_eyes(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Leaves out what would push the sentence off the screen."""
    return {key: value for key, value in event.items() if key not in _FOR_MACHINES and value is not None}
