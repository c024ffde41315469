"""Orders to a worker process: at which point of a transaction it is to be hit, and by what.

One file an order, so that a running process can be given one; it is renamed in the moment it is carried out.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from stream_monitor.kafka.transaction import Point

FOLDER = "STREAM_MONITOR_CHAOS"
SESSION = "STREAM_MONITOR_CHAOS_SESSION_MS"
SESSION_MS = 6_000
TRANSACTION_MS = 10_000


class Orders:
    """Those to one worker; made by both sides. Costs the worker a look for a file at each point."""

    def __init__(self, folder: Path, worker: str) -> None:
        self._order = folder / f"{worker}.order"
        self._done = folder / f"{worker}.done"
        self._notes = folder / f"{worker}.notes"

    # --- the one who breaks ---------------------------------------------------------------------------------------

    def give(self, number: signal.Signals, point: Point, *, unmoved: bool = False) -> None:
        """`unmoved`: only in a transaction that moves no offset."""
        self._done.unlink(missing_ok=True)
        draft = self._order.with_suffix(".draft")
        draft.write_text(json.dumps([int(number), point.value, unmoved]))
        draft.rename(self._order)

    def withdraw(self) -> None:
        self._order.unlink(missing_ok=True)

    def carried_out(self) -> bool:
        return self._done.exists()

    def notes(self) -> list[str]:
        return self._notes.read_text().splitlines() if self._notes.exists() else []

    # --- the one who is broken ------------------------------------------------------------------------------------

    def obey(self, point: Point, *, moved: bool) -> None:
        try:
            number, at, unmoved = json.loads(self._order.read_text())
        except FileNotFoundError:
            return
        if at == point.value and not (unmoved and moved):
            try:
                self._order.rename(self._done)
            except FileNotFoundError:
                return  # withdrawn
            os.kill(os.getpid(), number)

    def note(self, line: str) -> None:
        with self._notes.open("a") as file:
            file.write(line + "\n")
