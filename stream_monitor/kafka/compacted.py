"""Reading compacted topics: a state partition up to the head that belongs to an offset, and all profiles.

Both read committed records only, with a consumer of their own that belongs to no group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from stream_monitor.errors import RestoreError
from stream_monitor.kafka.client_log import logged
from stream_monitor.kafka.failures import CREATE_TOPICS, Stopped, denial
from stream_monitor.kafka.head import HEAD_KEY, Head
from stream_monitor.kafka.policy import READING_GROUP, reader_properties
from stream_monitor.kafka.stage import Message, Start

# Not OFFSET_BEGINNING: that is asked for before the partition's leader is known, and again only half a second later,
# for each partition restored. Where the first records were deleted, auto.offset.reset leads to those that are left.
_FIRST = 0
START_ANEW = "start anew with another topics.prefix, or with another state topic and the group's offsets reset"


def read_state(
    client: Mapping[str, object],
    topic: str,
    partition: int,
    start: Start,
    *,
    deadline_s: float = 60.0,
    topic_id: str = "",
    stopping: Callable[[], bool] = lambda: False,
) -> tuple[Head | None, list[tuple[bytes, bytes]]]:
    """The records that belong to `start`, newest of each key, and their head (None: nothing was flushed yet).
    `topic_id`: of the topic as it is now (empty: not known).

    "Read to the end" would not do: commit markers reach partitions at different times, so the offset may be seen
    before the state. So it waits for the head until nothing came for `deadline_s`; then RestoreError, never a guess.
    Raises Stopped once `stopping` says so.
    """
    expected = Head.expected(start)
    records: dict[bytes, bytes] = {}
    last: Head | None = None
    deadline = time.monotonic() + deadline_s
    consumer = _reader(client)
    try:
        consumer.assign([TopicPartition(topic, partition, _FIRST)])
        while True:
            if stopping():
                raise Stopped
            for message in consumer.consume(1000, 0.1):
                if _at_end(message):
                    if expected is None:
                        return None, _nothing(topic, partition, start, last)
                    continue
                deadline = time.monotonic() + deadline_s
                key, value = message.key(), message.value()
                if key == HEAD_KEY and value is not None:
                    last = Head.from_bytes(value)
                    if expected is not None and last.belongs_to(expected):
                        _same_topic(topic, partition, last, topic_id)
                        return last, list(records.items())
                elif value is None:
                    records.pop(key, None)
                else:
                    records[key] = value
            if expected is not None and last is not None and last.flush > expected.flush:
                raise RestoreError(
                    f"{topic}[{partition}] holds flush {last.flush} at position {last.position}, but flush "
                    f"{expected.flush} at {expected.position} is committed: they do not belong together",
                    mend=START_ANEW,
                )
            if time.monotonic() >= deadline:
                raise RestoreError(
                    f"{topic}[{partition}] has no head of flush {start.metadata or 'none'} at position "
                    f"{start.offset} within {deadline_s:g} s; last seen: {last}",
                    mend=START_ANEW,
                )
    finally:
        consumer.close()


def _same_topic(topic: str, partition: int, head: Head, topic_id: str) -> None:
    """A worker that did not notice goes on to write what changes, also to a state topic that was made anew."""
    if topic_id and head.topic_id and topic_id != head.topic_id:
        raise RestoreError(
            f"{topic} was deleted and made anew while evaluate wrote to it: partition {partition} holds only what "
            "changed since",
            mend=START_ANEW,
        )


def _nothing(topic: str, partition: int, start: Start, last: Head | None) -> list[tuple[bytes, bytes]]:
    if last is not None:
        raise RestoreError(
            f"{topic}[{partition}] holds flush {last.flush} at position {last.position}, but the group's offset "
            f"{start.offset} has no flush: its offsets were lost or reset, or the panes topic was "
            "made anew; going on would count twice, or leave out what was lost",
            mend=START_ANEW,
        )
    return []


class CompactedReader:
    """Follows a whole compacted topic from its beginning, for instance that of the profiles."""

    def __init__(self, client: Mapping[str, object], topic: str, partitions: int) -> None:
        self._topic = topic
        self._partitions = partitions
        self._consumer = _reader(client)
        self._consumer.assign([TopicPartition(topic, p, _FIRST) for p in range(partitions)])

    def read_to_end(self, deadline_s: float = 60.0) -> dict[bytes, bytes]:
        """Newest value of each key, up to the end as of now; RestoreError if the end is not reached in time."""
        records: dict[bytes, bytes | None] = {}
        ended: set[int] = set()
        deadline = time.monotonic() + deadline_s
        while len(ended) < self._partitions:
            for message in self._consumer.consume(1000, 0.1):
                if _at_end(message):
                    ended.add(message.partition())
                else:
                    records[message.key()] = message.value()
            if time.monotonic() >= deadline:
                raise RestoreError(f"the end of {self._topic} was not reached within {deadline_s:g} s")
        return {key: value for key, value in records.items() if value is not None}

    def poll(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Records that came since; never waits."""
        for message in self._consumer.consume(1000, 0):
            if not _at_end(message):
                yield message.key(), message.value()

    def close(self) -> None:
        self._consumer.close()


def _reader(client: Mapping[str, object]) -> Any:
    return Consumer(logged(reader_properties(client)))


def _at_end(message: Message) -> bool:
    """Whether this is an end-of-partition event; an error is raised."""
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:
        return True
    if (denied := denial(error, f"reading {message.topic() or f'as group {READING_GROUP}'}")) is not None:
        raise denied
    raise RestoreError(f"{message.topic()} cannot be read: {error.str()}", mend=CREATE_TOPICS)
