"""One stage of a scaling run, in a process of its own: `python -m benches.scaling_stage ingest|evaluate CONFIG …`.

Ingest ends with the commit of its last event, evaluate once it has nothing left to read. Prints one JSON object: CPU
seconds of the process from the first batch (evaluate: from the start of the stage) to the last commit, and resident
MiB before and at most.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benches.rss import resident
from benches.stage import Counting
from stream_monitor.app.arenas import few_arenas
from stream_monitor.app.exporting import export_policy
from stream_monitor.app.instance import Instance
from stream_monitor.app.logs import configure_logs
from stream_monitor.app.preflight import checked_setup
from stream_monitor.app.setup import load_setup
from stream_monitor.app.stages import evaluate_part, ingest_part
from stream_monitor.export.board import Board
from stream_monitor.export.commits import EvaluateCommitted, IngestCommitted


class _Ingested(Counting):
    """Counts batches and commits too; stops the stage once it has counted all events."""

    def __init__(self, *arguments: Any, until: int, stop: threading.Event) -> None:
        super().__init__(*arguments)
        self.batches = self.commits = 0
        self._until, self._stop = until, stop

    def publish_ingest(self, committed: IngestCommitted) -> None:
        self.batches += len(committed.processing_seconds)
        self.commits += bool(committed.processing_seconds)
        super().publish_ingest(committed)
        if self.events >= self._until:
            self._stop.set()


class _Evaluated(Board):
    """Stops the stage once no panes partition has anything left."""

    def __init__(self, *arguments: Any, partitions: int, stop: threading.Event) -> None:
        super().__init__(*arguments)
        self.commits, self.cpu_ended = 0, 0.0
        self._behind: dict[int, int] = {}
        self._partitions, self._stop = partitions, stop

    def publish_evaluate(self, committed: EvaluateCommitted) -> None:
        super().publish_evaluate(committed)
        self.commits += bool(committed.metrics)
        if committed.lag:
            self._behind[committed.partition] = sum(committed.lag.values())
        if committed.models:
            self.cpu_ended = time.process_time()
        if len(self._behind) == self._partitions and not any(self._behind.values()):
            self._stop.set()


def ingest(config: Path, events: int) -> dict[str, float]:
    stop = threading.Event()
    setup = load_setup(config)
    board = _Ingested(export_policy(setup), until=events, stop=stop)
    with Instance(setup.config.state_dir, "bench") as owned:
        setup = checked_setup(setup)
        before = resident()
        ingest_part(setup, owned, board).run(stop)
    if board.counted != events:
        raise SystemExit(f"{board.counted} predictions counted of {events}")
    return {**board.found(), "batches": board.batches, "commits": board.commits, **_memory(before)}


def evaluate(config: Path) -> dict[str, float]:
    stop = threading.Event()
    setup = checked_setup(load_setup(config))
    board = _Evaluated(export_policy(setup), partitions=setup.policies.panes_partitions, stop=stop)
    with Instance(setup.config.state_dir, "bench") as owned:
        before, cpu_began = resident(), time.process_time()
        evaluate_part(setup, owned, board).run(stop)
    return {"cpu_seconds": board.cpu_ended - cpu_began, "commits": board.commits, **_memory(before)}


def _memory(before: float) -> dict[str, float]:
    return {"mib_before": before, "mib_peak": resident("VmHWM")}


def main(stage: str, config: str, *rest: str) -> None:
    few_arenas()  # as `run` does
    configure_logs()  # to stderr: stdout is for the figures
    print(json.dumps(ingest(Path(config), int(rest[0])) if stage == "ingest" else evaluate(Path(config))))


if __name__ == "__main__":
    main(*sys.argv[1:])
