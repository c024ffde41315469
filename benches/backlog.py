"""A backlog of many events, produced about as fast as librdkafka goes.

The events are those of `benches.events`, 4 ms of event time apart and each with an id of its own; their bodies come
again every 20,000 events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from confluent_kafka import KafkaException, Producer

from benches.events import START_MS, STEP_MS, labels, predictions

_BODIES = 20_000
_CHUNK = 10_000
_TIME = b'"timestamp":"'
_SETTINGS = {
    "linger.ms": 50,
    "compression.type": "lz4",
    "partitioner": "murmur2_random",
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 262_144,
}
LABEL_DELAY_MS = 60_000

Message = dict[str, Any]  # "key" and "value", as produce_batch takes them


def produce_backlog(bootstrap: str, topic: str, events: int, *, of_labels: bool = False) -> int:
    """`events` predictions, or their labels a minute later, keyed by prediction_id. Returns the bytes of all values."""
    return deliver(bootstrap, topic, _chunks(events, of_labels=of_labels))


def deliver(bootstrap: str, topic: str, chunks: Iterable[list[Message]]) -> int:
    """Produce lists of messages in a row and wait for all of them. Returns the bytes of all values."""
    size = 0
    producer = Producer({"bootstrap.servers": bootstrap, **_SETTINGS})
    for messages in chunks:
        size += sum(len(message["value"]) for message in messages)
        waiting = messages
        while waiting:
            producer.produce_batch(topic, waiting)
            waiting = [message for message in waiting if message.pop("_error", None) is not None]
            producer.poll(0.05 if waiting else 0)
    if left := producer.flush(120):
        raise KafkaException(f"{left} messages of the backlog were not delivered")
    return size


def _chunks(events: int, *, of_labels: bool) -> Iterator[list[Message]]:
    made = labels(min(events, _BODIES)) if of_labels else predictions(min(events, _BODIES))
    bodies = [_split(key.encode(), value) for key, value in made]
    for first in range(0, events, _CHUNK):
        numbers = np.arange(first, min(first + _CHUNK, events))
        moments = np.datetime64(START_MS + of_labels * LABEL_DELAY_MS, "ms") + numbers * np.timedelta64(STEP_MS, "ms")
        times = np.strings.encode(np.datetime_as_string(moments), "ascii").tolist()
        chunk: list[Message] = []
        for number, time in zip(numbers.tolist(), times, strict=True):
            id_head, head, middle, tail = bodies[number % len(bodies)]
            key = b"%s%012d" % (id_head, number)
            chunk.append({"key": key, "value": b"".join((head, key, middle, time, tail))})
        yield chunk


def _split(key: bytes, value: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """The id without its number; the value up to the id, from there to its time, and from the time's zone on."""
    head, _, rest = value.partition(key)
    middle, mark, rest = rest.partition(_TIME)
    return key[:-12], head, middle + mark, rest[rest.index(b"Z") :]
