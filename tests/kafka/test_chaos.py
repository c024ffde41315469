"""Exact counts while workers are killed inside transactions, at random, and stopped beyond their session.

Two workers in processes of their own read one topic while it is being written. A supervisor restarts each that
dies. What a read_committed consumer then sees must hold every offset exactly once.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.broker.topics import TopicSpace
from tests.kafka.supervised import Faults, Worker
from tests.kafka.test_loop import assert_each_once, read_counted, wait_for

pytestmark = pytest.mark.broker

PARTITIONS = 4


@pytest.mark.timeout(180)
def test_every_message_counts_once_though_workers_are_killed_and_stopped(topics: TopicSpace, tmp_path: Path) -> None:
    source, output, group = topics.create("in", PARTITIONS), topics.create("out"), topics.name("group")
    given = {"bootstrap": topics.bootstrap, "group": group, "topics": [source], "output": output}
    writing = threading.Event()
    writing.set()
    writer = threading.Thread(target=_write_until, args=(topics, source, writing))
    writer.start()
    points = ["produced", "offsets_sent", "committed"]
    kills_at: list[Faults] = [[("kill", point, 1)] for point in points]
    zombie = Worker(
        "tests.kafka.counting",
        given | {"instance": "0"},
        # Killed in an open transaction, then stopped in one: once before and once after its offsets were sent.
        [*kills_at, [("stop", "produced", 1), ("stop", "offsets_sent", 1)]],
        tmp_path / "zombie.log",
    )
    victim = Worker("tests.kafka.counting", given | {"instance": "1"}, list(kills_at), tmp_path / "victim.log")
    chance = random.Random(7)
    kills = stops = 0
    try:
        next_kill = time.monotonic() + 4
        deadline = time.monotonic() + 90
        while (stops < 2 or kills < 4) and time.monotonic() < deadline:
            zombie.attend()
            victim.attend()
            if zombie.stopped():
                _outlive_session(zombie, victim, topics, group, source)
                stops += 1
            elif len(victim.ends) >= len(kills_at) and time.monotonic() > next_kill:  # its planned lives are over
                victim.signal(signal.SIGKILL)
                kills += 1
                next_kill = time.monotonic() + chance.uniform(0.7, 1.5)
            time.sleep(0.02)
        writing.clear()
        writer.join()
        ends = topics.end_offsets(source)
        # The zombie's planned lives all end by themselves; SIGTERM may not meet the last one while it is dying.
        wait_for(lambda: zombie.attend() or victim.attend() or len(zombie.ends) > len(kills_at), 40)
        wait_for(lambda: zombie.attend() or victim.attend() or topics.committed(group, source) == ends, 40)
    finally:
        writing.clear()
        writer.join()
        for worker in (zombie, victim):
            worker.end()
    logs = zombie.log.read_text() + victim.log.read_text()
    assert stops == 2, logs
    assert kills >= 4, logs
    assert [logs.count(f"fault kill {point}") for point in points] == [2, 2, 2]
    assert zombie.ends.count(-signal.SIGKILL) == 3
    assert victim.ends.count(-signal.SIGKILL) >= 6
    assert 1 in zombie.ends, "the second stop outlasts the transaction too, so the zombie must have been fenced"
    # SIGTERM may meet a life that is still starting; any other end is a failure.
    assert {zombie.ends[-1], victim.ends[-1]} <= {0, -signal.SIGTERM}, logs
    assert_each_once(topics, source, read_counted(topics, output))


def _write_until(topics: TopicSpace, source: str, writing: threading.Event) -> None:
    while writing.is_set():
        topics.produce(source, ((os.urandom(4), b"x") for _ in range(300)))
        time.sleep(0.05)


def _outlive_session(zombie: Worker, victim: Worker, topics: TopicSpace, group: str, source: str) -> None:
    """Leave the zombie stopped until its partitions were taken over and worked on, then let it go on."""
    before = topics.committed(group, source)

    def taken_over() -> bool:
        victim.attend()
        now = topics.committed(group, source)
        return all(now.get(p, 0) > before.get(p, 0) for p in range(PARTITIONS))

    wait_for(taken_over, 40)
    zombie.signal(signal.SIGCONT)
