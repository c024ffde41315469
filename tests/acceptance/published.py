"""What a read_committed consumer sees of the monitor's topics, as plain JSON documents; and what follows from it.

The reader's rule of the contract: of each figure the highest revision counts, and too_late increments are summed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from tests.broker.topics import TopicSpace

Document = dict[str, Any]


class Reader:
    """Follows one topic from its beginning; `poll` adds what came since to `documents`."""

    def __init__(self, topics: TopicSpace, topic: str) -> None:
        self.topic = topic
        self.documents: list[Document] = []
        settings = {
            "bootstrap.servers": topics.bootstrap,
            "group.id": topics.name("follower"),
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
        }
        self._consumer = Consumer(settings)
        partitions = self._consumer.list_topics(topic, 10).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])

    def poll(self) -> list[Document]:
        """All documents so far."""
        while messages := self._consumer.consume(2_000, 0.2):
            for message in messages:
                if message.error() is None:
                    self.documents.append(json.loads(message.value()))
                elif message.error().code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(message.error())
        return self.documents

    def close(self) -> None:
        self._consumer.close()


def read_all(topics: TopicSpace, topic: str) -> list[Document]:
    """Every committed document, once all writers have stopped."""
    return [json.loads(record.value) for record in topics.read_committed(topic) if record.value is not None]


def segment_of(event: Document) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(event["segment"].items()))


def figure_key(event: Document) -> tuple[Any, ...]:
    """All that tells one figure from another but its revision and its reference."""
    window = event["window"]
    detector = event.get("detector") or {}
    return (
        event["model_name"],
        event["model_version"],
        segment_of(event),
        window["time_basis"],
        window["start"],
        window["size_seconds"],
        window["slide_seconds"],
        event["metric"],
        event["feature"],
        event.get("class"),
        detector.get("kind"),
        detector.get("signal"),
    )


def newest(events: Iterable[Document]) -> dict[tuple[Any, ...], Document]:
    """The highest revision of each figure; too_late, whose events are increments, apart."""
    found: dict[tuple[Any, ...], Document] = {}
    for event in events:
        if event["metric"] == "too_late":
            continue
        key = figure_key(event)
        known = found.get(key)
        if known is None or event["revision"] > known["revision"]:
            found[key] = event
    return found


def counts(events: Iterable[Document], metric: str, basis: str) -> Counter[tuple[Any, ...]]:
    """Highest revision of `metric` + all too_late, by (model, version, segment, start, size, slide)."""
    events = list(events)
    total: Counter[tuple[Any, ...]] = Counter()
    for event in newest(events).values():
        if event["metric"] == metric and event["window"]["time_basis"] == basis:
            total[_place(event)] += int(event["value"] or 0)
    for event in events:
        # Without a version it is the model-wide series of labels without a prediction.
        late = event["metric"] == "too_late" and event["window"]["time_basis"] == basis
        if late and event["model_version"] is not None:
            total[_place(event)] += int(event["value"])
    return +total


def _place(event: Document) -> tuple[Any, ...]:
    window = event["window"]
    where = (event["model_name"], event["model_version"], segment_of(event))
    return (*where, window["start"], window["size_seconds"], window["slide_seconds"])
