"""`stream-monitor` with a place to break it: the same command line, whose loops look for an order at each point of a
transaction.

An order is a file `<role>-<instance>.order` in the folder named by STREAM_MONITOR_CHAOS; see orders.py. The process
takes it away and hits itself with the signal, so the fault lands exactly there. The session timeout, in
STREAM_MONITOR_CHAOS_SESSION_MS, is usually the shortest a broker accepts, so that a dead worker is replaced soon.
On SIGUSR1 it says where each of its threads is.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

from stream_monitor.app import stages
from stream_monitor.cli.main import main
from stream_monitor.kafka import ingest
from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.policy import LoopPolicy
from stream_monitor.kafka.stage import Stage
from stream_monitor.kafka.transaction import Point
from tests.chaos.orders import FOLDER, SESSION, TRANSACTION_MS, Orders


class FragileLoop(Loop):
    """A Loop that obeys orders, and notes how much was unflushed at each revocation."""

    def __init__(self, stage: Stage, policy: LoopPolicy, **given: Any) -> None:
        self._orders = Orders(Path(os.environ[FOLDER]), policy.member_id)
        times = {"session_timeout_ms": int(os.environ[SESSION]), "transaction_timeout_ms": TRANSACTION_MS}
        super().__init__(stage, replace(policy, **times), **(given | {"hook": self._passing}))  # type: ignore[arg-type]

    def _passing(self, point: Point) -> None:
        self._orders.obey(point, moved=self._positions.moved())

    def _on_revoke(self, consumer: Any, partitions: list[Any]) -> None:
        self._orders.note(f"revoked {self._tally.unflushed.total()}")
        super()._on_revoke(consumer, partitions)


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    stages.Loop = ingest.Loop = FragileLoop  # type: ignore[misc,attr-defined]
    main()
