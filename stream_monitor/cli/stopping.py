"""Ctrl-C and SIGTERM as an event, for commands that play and end in order; without a word in the log."""

from __future__ import annotations

import signal
import threading


def stop_event() -> threading.Event:
    """Set by the first signal; a second one has its usual effect. Call it from the main thread."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop
