"""Where librdkafka's own lines go: to a logger of the standard library, one record a line.

Without it librdkafka writes raw lines to stderr, between the structured ones and past whatever keeps secrets out of
them. A client hands its lines over while it is polled. Of one client and kind one line in ten seconds is let through:
a broker that is away makes twenty a second. The next one says how many were left out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

CLIENT_LOG: Final = logging.getLogger("stream_monitor.librdkafka")
EVERY_S: Final = 10.0
_MOST_KINDS: Final = 1_000  # clients × kinds of lines that are told apart; beyond it all begins anew


class Seldom(logging.Filter):
    """Lets one record of each kind and client through in `every_s`; `debug` ones always, since they were asked for."""

    def __init__(self, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s, self._clock = every_s, clock
        self._seen: dict[tuple[object, ...], tuple[float, int]] = {}  # → when one was let through, left out since

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno <= logging.DEBUG:
            return True
        # confluent-kafka says (kind, client, text).
        kind = (record.levelno, *record.args[:2]) if isinstance(record.args, tuple) else (record.levelno, record.msg)
        now = self._clock()
        at, left_out = self._seen.get(kind, (float("-inf"), 0))
        if now - at < self._every_s:
            self._seen[kind] = (at, left_out + 1)
            return False
        if len(self._seen) >= _MOST_KINDS:
            self._seen.clear()
        self._seen[kind] = (now, 0)
        if left_out:
            record.msg = f"{record.msg} (and {left_out} more of this kind before)"
        return True


CLIENT_LOG.addFilter(Seldom())


def logged(properties: Mapping[str, object]) -> dict[str, Any]:
    """The properties of a client that says what it has to say to the log."""
    return {**properties, "logger": CLIENT_LOG}
