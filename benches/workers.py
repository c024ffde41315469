"""CPU time of an event with two ingest processes against one, on the same topics.

The processes are those of `--workers`: a group, each with half of the partitions. All are up before any may join, and
heartbeats are frequent, so that the group is complete soon after the first began. CPU time is of the processes alone,
from each one's first batch to its last commit: wall time would measure two cores shared with the broker.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from benches.harness import Options, Result, bench_space, interleaved, over, ratio, result
from benches.monitored import Measured, Monitored

DEADLINE_S = 120.0


def run(options: Options) -> Result:
    events = options.count(400_000, quick=40_000)
    with bench_space("workers") as space:
        bench = Monitored(space, events)
        found = interleaved(
            options,
            {
                "one": lambda number: drained(bench, f"one-{number}", 1),
                "two": lambda number: drained(bench, f"two-{number}", 2),
            },
        )
    cpu = {name: [each["cpu_seconds"] / events * 1e6 for each in found[name]] for name in found}
    return result(
        figures={
            "one process: CPU µs/event": cpu["one"],
            "two processes: CPU µs/event": cpu["two"],
            "two processes: smaller share": [each["smallest_share"] for each in found["two"]],
        },
        ratios={"cpu_of_two_workers": ratio(over(cpu["two"], cpu["one"]), "lower", must=1.05)},
        events=events,
    )


def drained(bench: Monitored, run: str, workers: int) -> Measured:
    """All events read by that many workers together."""
    config = bench.ready(run, client={"heartbeat.interval.ms": 100})
    with ExitStack() as stack:
        running = [stack.enter_context(_Worker(config, f"bench-{index}")) for index in range(workers)]
        for each in running:
            each.wait_until_up()
        for each in running:
            each.begin()
        deadline = time.monotonic() + DEADLINE_S
        while sum(each.last["events"] for each in running) < bench.events:
            for each in running:
                if each.failure is not None:
                    raise RuntimeError(each.failure)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{[each.last['events'] for each in running]} of {bench.events} events")
            time.sleep(0.02)
    last = [each.last for each in running]
    total = sum(each["events"] for each in last)
    if total != bench.events:
        raise RuntimeError(f"{total} events were counted of {bench.events}")
    return {
        "events": total,
        "cpu_seconds": sum(each["cpu_seconds"] for each in last),
        "smallest_share": min(each["events"] for each in last) / total,
    }


class _Worker:
    """`benches.stage` as one member of a group. Its first line says that it is up, each further one what it counted."""

    def __init__(self, config: Path, instance: str) -> None:
        given = json.dumps({"stage": "worker", "config": str(config), "instance": instance})
        words: Sequence[str] = (sys.executable, "-m", "benches.stage", given)
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in __exit__
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, text=True
        )
        self.last: Measured = {"events": 0, "seconds": 0.0, "cpu_seconds": 0.0}
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *raised: object) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it ended by itself, and its failure is already being raised
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    @property
    def failure(self) -> str | None:
        """Why it ended; None while it runs."""
        if self._process.poll() is None:
            return None
        self._stderr.seek(0)
        return f"a worker ended with {self._process.returncode}:\n{self._stderr.read()[-3_000:]}"

    def wait_until_up(self) -> None:
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self._reader.start()

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.last = json.loads(line)
