"""What must hold in the end, whatever happened: every count is that of a slow recount of all that was sent.

Highest revision + too_late of every window, predictions and joined labels; the confusion matrix where nothing was too
late; ids of metric events and alerts unique under read_committed; alerts whose lives are legal; one dead letter for
each malformed message. Metric events are gone through one at a time: an hour's are millions.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from confluent_kafka import Consumer, KafkaError, TopicPartition

from tests.acceptance.published import Document, counts, figure_key, newest, segment_of
from tests.acceptance.stream import Counts, Recount, Stream, recount
from tests.broker.topics import TopicSpace

METRICS = ("predictions", "labels_joined", "confusion_matrix")
BASES = (("predictions", "prediction"), ("labels_joined", "label"))


class Follower:
    """What a read_committed consumer sees of one topic, from its beginning; `poll` gives what came since."""

    def __init__(self, topics: TopicSpace, topic: str) -> None:
        settings = {"bootstrap.servers": topics.bootstrap, "group.id": topics.name("follower"), "log_level": 0}
        settings |= {"isolation.level": "read_committed", "enable.auto.commit": False, "enable.partition.eof": True}
        self._consumer = Consumer(settings | {"fetch.wait.max.ms": 50})
        self._partitions = list(self._consumer.list_topics(topic, 30).topics[topic].partitions)
        self._consumer.assign([TopicPartition(topic, each, 0) for each in self._partitions])

    def poll(self) -> Iterator[Document]:
        """Up to where each partition's end was seen after the call."""
        left = set(self._partitions)
        while left:
            for message in self._consumer.consume(2_000, 0.5):
                error = message.error()
                if error is None:
                    left.add(message.partition())
                    if message.value() is not None:
                        yield orjson.loads(message.value())
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
            # An end is said once; a partition where nothing comes any more stands at it.
            if left and not (left := self._behind(left)):
                return

    def _behind(self, partitions: Iterable[int]) -> set[int]:
        return set(partitions) if self._unfinished() else set()

    def _unfinished(self) -> bool:
        for each in self._consumer.position(self._consumer.assignment()):
            _, high = self._consumer.get_watermark_offsets(each, timeout=20)
            if each.offset < high:
                return True
        return False

    def close(self) -> None:
        self._consumer.close()


@dataclass
class Ledger:
    """The figures that are compared, and the ids of all."""

    events: int = 0
    corrections: int = 0
    repeated: list[str] = field(default_factory=list)
    late: list[Document] = field(default_factory=list)
    figures: dict[tuple[Any, ...], Document] = field(default_factory=dict)
    _ids: set[bytes] = field(default_factory=set)

    def take(self, documents: Iterable[Document]) -> None:
        for event in documents:
            self.events += 1
            self.corrections += event["revision"] > 0
            known = uuid.UUID(event["id"]).bytes
            if known in self._ids:
                self.repeated.append(event["id"])
            self._ids.add(known)
            if event["metric"] == "too_late":
                self.late.append(event)
            elif event["metric"] in METRICS:
                key = figure_key(event)
                if key not in self.figures or event["revision"] > self.figures[key]["revision"]:
                    self.figures[key] = event

    def documents(self) -> list[Document]:
        return [*self.figures.values(), *self.late]


def recount_all(streams: Iterable[Stream]) -> Recount:
    predictions: Counts = Counter()
    joined: Counts = Counter()
    cells: dict[tuple[Any, ...], Counter[tuple[str, str]]] = defaultdict(Counter)
    for stream in streams:
        one = recount(stream)
        predictions.update(one.predictions)
        joined.update(one.joined)
        cells.update(one.cells)
    return Recount(predictions, joined, cells)


def count_differences(ledger: Ledger, truth: Recount) -> tuple[int, list[str]]:
    """How many counts were compared, and those that differ, one line each."""
    compared, found = 0, []
    documents = ledger.documents()
    for (metric, basis), expected in zip(BASES, (truth.predictions, truth.joined), strict=True):
        published = counts(documents, metric, basis)
        keys = published.keys() | expected.keys()
        compared += len(keys)
        found += [
            f"{metric} {key}: published {published[key]}, recounted {expected[key]}"
            for key in sorted(keys, key=repr)
            if published[key] != expected[key]
        ]
    return compared, found


def cell_differences(ledger: Ledger, truth: Recount) -> tuple[int, list[str]]:
    """The same of confusion matrices, wherever no label was too late."""
    late = {place(event) for event in ledger.late if event["window"]["time_basis"] == "label"}
    compared, found = 0, []
    for event in newest(ledger.documents()).values():
        key = place(event)
        if event["metric"] != "confusion_matrix" or event["window"]["time_basis"] != "label" or key in late:
            continue
        cells = {(cell["actual"], cell["predicted"]): cell["count"] for cell in event["cells"]}
        compared += len(cells)
        if cells != truth.cells[key]:
            found.append(f"confusion_matrix {key}: published {cells}, recounted {dict(truth.cells[key])}")
    return compared, found


def place(event: Document) -> tuple[Any, ...]:
    window = event["window"]
    series = event["model_name"], event["model_version"], segment_of(event)
    return (*series, window["start"], window["size_seconds"], window["slide_seconds"])


def alert_differences(alerts: Iterable[Document]) -> tuple[int, list[str]]:
    """How many transitions there were, and which break the law: firing and resolved alternate, firing first, and an
    id comes once. The alerts of one fingerprint are given in their order."""
    found = []
    ids: set[str] = set()
    firing: dict[str, str | None] = defaultdict(lambda: None)
    for alert in alerts:
        known, state = alert["fingerprint"], alert["state"]
        if alert["id"] in ids:
            found.append(f"alert id {alert['id']} came twice")
        ids.add(alert["id"])
        if (alert["endsAt"] is not None) != (state == "resolved"):
            found.append(f"alert {known} is {state} and ends at {alert['endsAt']}")
        if state == "firing" and firing[known] is not None:
            found.append(f"alert {known} fires at {alert['startsAt']} and was firing since {firing[known]}")
        if state == "resolved" and firing[known] is None:
            found.append(f"alert {known} is resolved at {alert['endsAt']} and was not firing")
        if state == "pending" and firing[known] is not None:
            found.append(f"alert {known} is pending at {alert['startsAt']} while it fires")
        if state != "pending":
            firing[known] = alert["startsAt"] if state == "firing" else None
    return len(ids), found


def letter_differences(letters: Iterable[Document], malformed: int) -> tuple[int, list[str]]:
    places = Counter((each["topic"], each["partition"], each["offset"]) for each in letters)
    found = [f"dead letter of {where} came {n} times" for where, n in places.items() if n > 1]
    if len(places) != malformed:
        found.append(f"{len(places)} dead letters, {malformed} malformed messages")
    return len(places), found
