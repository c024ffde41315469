"""A small stage that proves the loop: it counts messages and emits, each flush, which source ranges it counted.

Run as a program it is one worker in a process of its own, which may kill or stop itself inside a transaction:
`python -m tests.kafka.counting '{"bootstrap": …, "instance": …, …, "faults": [["kill", "produced", 1]]}'`
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.policy import LoopPolicy
from stream_monitor.kafka.stage import TP, OutRecord, Run, Start
from stream_monitor.kafka.transaction import Hook, Point
from stream_monitor.pipeline.horizon import Span


@dataclass(frozen=True, slots=True)
class Counted:
    """`n` messages of `[first, last]` of one source partition, in one committed transaction."""

    topic: str
    partition: int
    first: int
    last: int
    n: int


class CountingStage:
    """Keeps a permanent total a partition, moved only on commit, and checks that the loop keeps its promises."""

    def __init__(self, output: str) -> None:
        self.output = output
        self.totals: dict[TP, int] = {}
        self.overlay: dict[TP, list[int]] = {}
        self.assignments: list[Mapping[TP, Start]] = []
        self.revocations: list[Sequence[TP]] = []
        self.aborts = 0

    def assigned(self, partitions: Mapping[TP, Start]) -> None:
        assert not self.overlay
        self.assignments.append(dict(partitions))
        self.totals = {tp: int(each.metadata or "0") for tp, each in partitions.items()}

    def revoked(self, partitions: Sequence[TP]) -> None:
        assert not self.overlay
        self.revocations.append(list(partitions))
        self.totals = {}

    def process(self, batch: list[Run]) -> None:
        for tp, run_offsets, messages in batch:
            assert tp in self.totals
            for offset, message in zip(run_offsets, messages, strict=True):
                assert (TP(message.topic(), message.partition()), message.offset()) == (tp, offset)
                offsets = self.overlay.setdefault(tp, [])
                assert not offsets or offset > offsets[-1]
                offsets.append(offset)

    def is_awaited(self) -> bool:
        return False

    def is_full(self) -> bool:
        return False

    def drain(self, now_ms: int, spans: Mapping[TP, Span]) -> list[OutRecord]:
        return [
            OutRecord(self.output, str(tp).encode(), json.dumps([*tp, seen[0], seen[-1], len(seen)]).encode())
            for tp, seen in self.overlay.items()
        ]

    def commit_metadata(self, topic: str, partition: int) -> str:
        tp = TP(topic, partition)
        return str(self.totals[tp] + len(self.overlay.get(tp, ())))

    def committed(self) -> None:
        for tp, seen in self.overlay.items():
            self.totals[tp] += len(seen)
        self.overlay.clear()

    def aborted(self) -> None:
        self.aborts += 1
        self.overlay.clear()


def counted(values: Sequence[bytes | None]) -> list[Counted]:
    return [Counted(*json.loads(value)) for value in values if value is not None]


def faults(planned: list[tuple[str, str, int]]) -> Hook:
    """A hook that hits this process with SIGKILL or SIGSTOP: [kind, point, passings of the point before it]."""
    left = [list(each) for each in planned]

    def hook(at: Point) -> None:
        if left and left[0][1] == at:
            left[0][2] -= 1
            if left[0][2] < 0:
                kind, point, _ = left.pop(0)
                print(f"fault {kind} {point}", flush=True)
                os.kill(os.getpid(), signal.SIGKILL if kind == "kill" else signal.SIGSTOP)

    return hook


def main() -> None:
    given = json.loads(sys.argv[1])
    policy = LoopPolicy(
        role="count",
        instance=given["instance"],
        group=given["group"],
        topics=tuple(given["topics"]),
        client={"bootstrap.servers": given["bootstrap"]},
        transactional_prefix=given["group"],
        flush_interval_ms=150,
        session_timeout_ms=6_000,
        transaction_timeout_ms=10_000,
    )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    Loop(CountingStage(given["output"]), policy, hook=faults(given["faults"])).run(stop)


if __name__ == "__main__":
    main()
