"""SIGKILL at random moments, and what each one hit, seen from outside: from the broker's own offsets.

Whether a kill hit an open transaction is not asked of the process. After its death, and before it is started again,
a partition's last stable offset that stands still below its end is the first record of a transaction that the dead
left open. It counts only if at the very end a read_committed consumer does not see that record: it was aborted, so it
was not a slow transaction of somebody else.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import OffsetSpec

from tests.acceptance.site import Process
from tests.broker.topics import TopicSpace

# A request to a group's coordinator must not time out: should the coordinator come back afterwards, librdkafka (its
# #5397) aborts the process.
LONG_S = 3_600.0

Place = tuple[str, int, int]  # topic, partition, offset
_NOT_YET = (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE)


@dataclass(frozen=True, slots=True)
class Kill:
    """`unread`: source events the group had not committed, seen right before the kill. `undone`: those of them that
    were still not committed after it, when the victim was dead."""

    victim: str
    aimed: bool
    unread: int
    undone: int
    left_open: tuple[Place, ...]


class Observer:
    """Offsets as the broker knows them."""

    def __init__(self, topics: TopicSpace) -> None:
        self._topics = topics
        self._partitions: dict[str, int] = {}
        self._askers: dict[str, Consumer] = {}

    def ends(self, names: Sequence[str], *, committed_only: bool = False) -> dict[tuple[str, int], int]:
        level = IsolationLevel.READ_COMMITTED if committed_only else IsolationLevel.READ_UNCOMMITTED
        request = {TopicPartition(*each): OffsetSpec.latest() for name in names for each in self._of(name)}
        answers = self._topics.admin.list_offsets(request, isolation_level=level)
        return {(each.topic, each.partition): answer.result(20).offset for each, answer in answers.items()}

    def open_transactions(self, names: Sequence[str]) -> set[Place]:
        """First record of the oldest open transaction, of each partition that has one."""
        stable = self.ends(names, committed_only=True)
        return {(*tp, stable[tp]) for tp, end in self.ends(names).items() if stable[tp] < end}

    def committed(self, group: str, names: Sequence[str]) -> dict[tuple[str, int], int]:
        """The group's offsets as committed, without waiting for transactions that are still open.

        Asked of a consumer that never joins: the admin client's own call ends the process (SIGSEGV, librdkafka issue
        5040) where the broker asked is not, or not yet, the group's coordinator.
        """
        if group not in self._askers:
            settings = {**self._topics.client, "group.id": group, "isolation.level": "read_uncommitted"}
            self._askers[group] = Consumer({**settings, "enable.auto.commit": False, "log_level": 0})
        wanted = [TopicPartition(*each) for name in names for each in self._of(name)]
        deadline = time.monotonic() + 20
        while True:
            try:
                found = self._askers[group].committed(wanted, timeout=20)
                break
            except KafkaException as error:
                if error.args[0].code() not in _NOT_YET or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        return {(each.topic, each.partition): max(each.offset, 0) for each in found}

    def _of(self, name: str) -> list[tuple[str, int]]:
        if name not in self._partitions:
            self._partitions[name] = len(self._topics.admin.list_topics(name, 10).topics[name].partitions)
        return [(name, partition) for partition in range(self._partitions[name])]


@dataclass
class Storm:
    """`outputs`: the topics a process writes, by role. `sources` are read by `group`."""

    observer: Observer
    rng: random.Random
    sources: Sequence[str]
    group: str
    outputs: dict[str, Sequence[str]]

    def kill(self, victim: Process, *, aimed: bool) -> Kill:
        """At a random moment with input unread; an aimed one waits for a transaction on the victim's output too."""
        outputs = self.outputs[victim.role or ""]
        time.sleep(self.rng.uniform(0.0, 0.4))
        deadline = time.monotonic() + 2
        while True:
            ends = self.observer.ends(self.sources)
            unread = self._unread(ends)
            aimed = aimed and time.monotonic() < deadline
            if unread and (not aimed or self.observer.open_transactions(outputs[:1])):
                break
        victim.kill()
        undone = self._unread(ends)
        left_open = self._left_open(outputs)
        return Kill(f"{victim.role}-{victim.instance}", aimed, unread, undone, tuple(sorted(left_open)))

    def _unread(self, ends: dict[tuple[str, int], int]) -> int:
        committed = self.observer.committed(self.group, self.sources)
        return sum(max(0, end - committed.get(tp, 0)) for tp, end in ends.items())

    def _left_open(self, outputs: Sequence[str]) -> set[Place]:
        """What stays open while the victim is dead. Others' transactions last for milliseconds."""
        found = self.observer.open_transactions(outputs)
        for _ in range(3):
            if not found:
                break
            time.sleep(0.15)
            found &= self.observer.open_transactions(outputs)
        return found


def aborted(topics: TopicSpace, places: set[Place]) -> set[Place]:
    """Those of the places whose record exists and is seen by no read_committed consumer."""
    if not places:
        return set()
    return _seen(topics, places, "read_uncommitted") - _seen(topics, places, "read_committed")


def _seen(topics: TopicSpace, places: set[Place], isolation: str) -> set[Place]:
    """Those of the places that a consumer which begins there reads first."""
    settings = {"bootstrap.servers": topics.bootstrap, "group.id": topics.name("seen"), "enable.partition.eof": True}
    consumer = Consumer({**settings, "isolation.level": isolation, "enable.auto.commit": False})
    found: set[Place] = set()
    try:
        for place in places:
            consumer.assign([TopicPartition(*place)])
            messages = []
            while not messages:
                messages = consumer.consume(1, 5.0)
            error = messages[0].error()
            if error is None and messages[0].offset() == place[2]:
                found.add(place)
            elif error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
    finally:
        consumer.close()
    return found
