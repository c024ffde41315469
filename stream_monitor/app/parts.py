"""The parts of a running monitor, each on a thread of its own, that start, stop and fail together.

Promises: a stop (a signal, or the first failure) reaches every part; the first failure is what the process ends
with; an error nobody foresaw becomes one sentence, its traceback goes to the log.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from stream_monitor.errors import StreamMonitorError

log = structlog.get_logger("stream_monitor.app")

# Longest all parts together may take to commit what they hold; then the process fails without them, before the 30 s are
# over that supervisors usually grant. Nothing is lost by that: what was not committed is read again.
DRAIN_S = 25.0


@dataclass(frozen=True, slots=True)
class Part:
    """`run` blocks until its event is set, or raises. A part is ready once `ready` holds and all that `conditions`
    names; any thread may ask."""

    name: str
    run: Callable[[threading.Event], None]
    ready: Callable[[], bool] = lambda: True
    conditions: Mapping[str, Callable[[], bool]] = field(default_factory=dict)


class _Thread(threading.Thread):
    def __init__(self, part: Part, stop: threading.Event, failed: Callable[[Part, BaseException], None]) -> None:
        # A daemon: a part that hangs must not keep a failed process alive.
        super().__init__(name=f"stream-monitor-{part.name}", daemon=True)
        self._part, self._stop_event, self._failed = part, stop, failed

    def run(self) -> None:
        try:
            self._part.run(self._stop_event)
            if not self._stop_event.is_set():
                raise StreamMonitorError(f"{self._part.name} ended without being told to")
        except BaseException as error:
            self._failed(self._part, error)


def run_parts(parts: Sequence[Part], stop: threading.Event, *, drain_s: float = DRAIN_S) -> None:
    """Run all parts until `stop` is set or one fails; then stop the others. Raises the first failure, and after
    `drain_s` no longer waits for a part that hangs in a call that nobody answers."""
    failures: list[StreamMonitorError] = []

    def failed(part: Part, error: BaseException) -> None:
        if isinstance(error, StreamMonitorError):
            failures.append(error)
        else:
            log.error("unexpected failure", part=part.name, exc_info=error)
            failures.append(StreamMonitorError(f"{part.name} failed unexpectedly: {error!r}"))
        stop.set()

    threads = [_Thread(part, stop, failed) for part in parts]
    for thread in threads:
        thread.start()
    # With a timeout, since an untimed wait would keep signal handlers from running on some platforms.
    while not stop.wait(1.0):
        pass
    deadline = time.monotonic() + drain_s
    for part, thread in zip(parts, threads, strict=True):
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            left = "the next start reads again what it had not committed"
            failures.append(StreamMonitorError(f"{part.name} did not stop within {drain_s:g} s: {left}"))
    if failures:
        raise failures[0]


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set. Call it from the main thread."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        if not stop.is_set():
            log.info("draining", signal=signal.Signals(number).name)
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop
