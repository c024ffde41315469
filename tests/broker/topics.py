"""Topics and groups of one test: names under a prefix of its own, plain producing, exact reading back.

`read_committed` first waits until no transaction is open on the topic (a commit returns before its markers
have reached every partition), then reads all that a read_committed consumer can see.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read back; `timestamp_ms` is the record's own timestamp."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: tuple[tuple[str, bytes | None], ...]


class TopicSpace:
    """All Kafka names of one test, so that one broker serves the whole session."""

    def __init__(self, bootstrap: str, label: str = "test", client: Mapping[str, object] | None = None) -> None:
        """`client`: what the broker asks of its clients beyond its address."""
        self.bootstrap = bootstrap
        self.client: dict[str, object] = {"bootstrap.servers": bootstrap, **(client or {})}
        self.prefix = f"{label[:40]}-{uuid.uuid4().hex[:8]}."
        self.admin = self.new_admin()

    def new_admin(self) -> AdminClient:
        return AdminClient({**self.client, "log_level": 0})  # it outlives the broker

    def name(self, name: str) -> str:
        """A topic, group or transactional id of this test."""
        return self.prefix + name

    def create(self, name: str, partitions: int = 1, **config: str) -> str:
        """Create the topic, wait until it has leaders, return its full name. Config keys take _ for dots."""
        topic = self.name(name)
        settings = {"retention.ms": "-1"} | {key.replace("_", "."): value for key, value in config.items()}
        self.admin.create_topics([NewTopic(topic, partitions, -1, config=settings)])[topic].result(30)
        deadline = time.monotonic() + 30
        while True:
            found = self.admin.list_topics(topic, timeout=10).topics[topic].partitions
            if len(found) == partitions and all(each.leader >= 0 for each in found.values()):
                return topic
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} has no leaders after 30 s")
            time.sleep(0.05)

    def produce(
        self,
        topic: str,
        messages: Iterable[tuple[bytes | None, bytes | None]] | Iterable[bytes],
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> int:
        """Produce values, or (key, value) pairs, to a full topic name; wait for all; return how many."""
        producer = Producer({**self.client, "linger.ms": 5, **(settings or {})})
        failures: list[KafkaError] = []
        where = {} if partition is None else {"partition": partition}
        when = {} if timestamp_ms is None else {"timestamp": timestamp_ms}
        count = 0
        for message in messages:
            key, value = message if isinstance(message, tuple) else (None, message)
            while True:
                try:
                    producer.produce(
                        topic, value, key, on_delivery=lambda e, _: e and failures.append(e), **where, **when
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
            count += 1
            producer.poll(0)
        if producer.flush(60) or failures:
            raise KafkaException(failures[0] if failures else KafkaError(KafkaError._TIMED_OUT))
        return count

    def read_committed(self, topic: str, *, timeout_s: float = 40.0) -> list[Record]:
        """All records a read_committed consumer sees, by partition then offset. Writers must have stopped."""
        ends = self._stable_ends(topic, timeout_s)
        settings = {
            **self.client,
            "group.id": self.name("reader"),
            "enable.auto.commit": False,
        }
        settings |= {"isolation.level": "read_committed", "enable.partition.eof": True}
        settings |= {"auto.offset.reset": "earliest"}
        consumer = Consumer(settings)
        records: list[Record] = []
        open_partitions = set(ends)
        try:
            consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
            while open_partitions:
                for message in consumer.consume(1000, timeout=1.0):
                    error = message.error()
                    if error is None:
                        records.append(_record(message))
                    elif error.code() == KafkaError._PARTITION_EOF:
                        if message.offset() >= ends[message.partition()]:
                            open_partitions.discard(message.partition())
                    else:
                        raise KafkaException(error)
        finally:
            consumer.close()
        return sorted(records, key=lambda record: (record.partition, record.offset))

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The group's committed offset per partition of the topic (absent where none)."""
        partitions = self.admin.list_topics(topic, timeout=10).topics[topic].partitions
        consumer = Consumer({**self.client, "group.id": group})
        try:
            found = consumer.committed([TopicPartition(topic, each) for each in partitions], timeout=20)
        finally:
            consumer.close()
        return {each.partition: each.offset for each in found if each.offset >= 0}

    def end_offsets(self, topic: str, *, committed_only: bool = False) -> dict[int, int]:
        level = IsolationLevel.READ_COMMITTED if committed_only else IsolationLevel.READ_UNCOMMITTED
        partitions = self.admin.list_topics(topic, timeout=10).topics[topic].partitions
        request = {TopicPartition(topic, each): OffsetSpec.latest() for each in partitions}
        answers = self.admin.list_offsets(request, isolation_level=level)
        return {each.partition: answer.result(20).offset for each, answer in answers.items()}

    def _stable_ends(self, topic: str, timeout_s: float) -> dict[int, int]:
        deadline = time.monotonic() + timeout_s
        while True:
            stable = self.end_offsets(topic, committed_only=True)
            if stable == self.end_offsets(topic):
                return stable
            if time.monotonic() > deadline:
                raise TimeoutError(f"a transaction is still open on {topic} after {timeout_s:.0f} s")
            time.sleep(0.1)


def _record(message) -> Record:  # type: ignore[no-untyped-def]  # confluent_kafka.Message
    return Record(
        partition=message.partition(),
        offset=message.offset(),
        key=message.key(),
        value=message.value(),
        timestamp_ms=message.timestamp()[1],
        headers=tuple(message.headers() or ()),
    )
