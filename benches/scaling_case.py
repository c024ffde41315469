"""One run of the scaling bench: a load, its events, both stages over them, and what they left on the topics."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import orjson
import yaml
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from benches.backlog import Message, deliver
from benches.events import MODEL, START_MS, Shape, predictions
from benches.harness import Space, python
from stream_monitor.events.policy import Task
from stream_monitor.kafka.topics import TopicNames, create_topics, topic_specs
from stream_monitor.pipeline.messages import Delta, decode
from stream_monitor.reference.build import build_profile
from stream_monitor.reference.profile import Profile, sealed

PANES_PARTITIONS = 4
PANE_MINUTES = 5
_BODIES = 2_000
_CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class Case:
    """`segments`: values of the one tag that makes segments, 0: there is none. `minutes`: of event time, spread
    evenly over the events; models and segments are drawn evenly."""

    partitions: int
    models: int
    segments: int
    shape: Shape
    events: int
    minutes: int = 16
    flush_ms: int = 250

    @property
    def series(self) -> int:
        return self.models * (1 + self.segments)

    @property
    def levels(self) -> int:
        """Series that an event belongs to."""
        return 2 if self.segments else 1

    @property
    def closings(self) -> int:
        """Windows that end in it, of one series and one family."""
        return (self.minutes * 60 - 11) // (PANE_MINUTES * 60)

    def __str__(self) -> str:
        return (
            f"{self.partitions} partitions, {self.models} models × {1 + self.segments} segments, "
            f"{self.shape.features} features, flush {self.flush_ms} ms"
        )


@dataclass(frozen=True, slots=True)
class Topic:
    """What lies on a topic: records, bytes of their keys and values, bytes that went over the network to read them."""

    records: int
    bytes: int
    wire_bytes: int
    live_bytes: int  # of the newest record of each key


@dataclass(frozen=True, slots=True)
class Found:
    """What one run used and made. `ingest` and `evaluate`: as scaling_stage prints it."""

    case: Case
    ingest: dict[str, float]
    evaluate: dict[str, float]
    source: Topic
    panes: Topic
    state: Topic
    metrics: Topic
    deltas: int  # increments of one pane, in all messages
    progresses: int
    closed: int  # windows of one series that were published

    def __str__(self) -> str:
        per_event = self.ingest["cpu_seconds"] / self.case.events * 1e6
        return (
            f"ingest {per_event:.2f} µs/event in {self.ingest['batches']:.0f} batches and "
            f"{self.ingest['commits']:.0f} flushes, {self.ingest['mib_peak']:.0f} MiB; evaluate "
            f"{self.evaluate['cpu_seconds']:.2f} s for {self.deltas:,} deltas, {self.closed:,} windows, "
            f"{self.evaluate['mib_peak']:.0f} MiB; {self.panes.bytes / max(1, self.deltas):,.0f} bytes a delta, "
            f"{self.state.bytes / max(1, self.state.records):,.0f} a state record"
        )


def measured(space: Space, case: Case, number: int) -> Found:
    """Everything of one case; its topics and files are gone afterwards."""
    name = f"case-{number}"
    folder = space.folder / name
    folder.mkdir()
    sources = space.topics.create(f"{name}-predictions", case.partitions)
    bootstrap, admin = space.topics.bootstrap, space.topics.admin
    names = TopicNames(sources, None, space.topics.name(f"{name}."))
    specs = topic_specs(names, source_partitions=case.partitions, panes_partitions=PANES_PARTITIONS)
    create_topics(admin, specs)
    try:
        deliver(bootstrap, sources, _events(case))
        config = str(_config(folder, case, names, bootstrap))
        ingest = python("-m", "benches.scaling_stage", "ingest", config, str(case.events)).last
        evaluate = python("-m", "benches.scaling_stage", "evaluate", config).last
        panes, closed = _Panes(), _Closed()
        return Found(
            case,
            ingest,
            evaluate,
            source=_topic(bootstrap, sources),
            panes=_topic(bootstrap, names.panes, panes.see),
            state=_topic(bootstrap, names.state),
            metrics=_topic(bootstrap, names.metrics, closed.see),
            deltas=panes.deltas,
            progresses=panes.progresses,
            closed=closed.windows,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for deleted in admin.delete_topics([sources, *{spec.name for spec in specs} - {sources}]).values():
            deleted.result(30)


# --- events and config ------------------------------------------------------------------------------------------------


def _events(case: Case) -> Iterator[list[Message]]:
    rng = np.random.default_rng(0)
    bodies = [value[value.index(b'"features"') :] for _, value in predictions(_BODIES, shape=case.shape)]
    step_ms = case.minutes * 60_000 / case.events
    for first in range(0, case.events, _CHUNK):
        numbers = np.arange(first, min(first + _CHUNK, case.events))
        moments = np.datetime64(START_MS, "ms") + (numbers * step_ms).astype("timedelta64[ms]")
        columns = zip(
            numbers.tolist(),
            np.datetime_as_string(moments).tolist(),
            rng.integers(case.models, size=len(numbers)).tolist(),
            rng.integers(max(1, case.segments), size=len(numbers)).tolist(),
            strict=True,
        )
        chunk: list[Message] = []
        for number, moment, model, segment in columns:
            key = b"0198c0de-0000-7000-8000-%012d" % number
            tags = b'"tags":{"segment":"s%d"},' % segment if case.segments else b""
            head = b'{"model_name":"%s","model_version":"2026-01","prediction_id":"%s","timestamp":"%sZ",%s'
            head %= (_model(model).encode(), key, moment.encode(), tags)
            chunk.append({"key": key, "value": head + bodies[number % len(bodies)]})
        yield chunk


def _model(number: int) -> str:
    return f"{MODEL}-{number}"


def _config(folder: Path, case: Case, names: TopicNames, bootstrap: str) -> Path:
    profile = _profile(case.shape)
    models = []
    for number in range(case.models):
        name = _model(number)
        file = folder / f"{name}.json"
        file.write_bytes(sealed(msgspec.structs.replace(profile, model_name=name)).to_json())
        models.append(
            {
                "name": name,
                "task": "binary",
                "positive_class": "1",
                "reference": {"profile": str(file)},
                "segments": [["tags.segment"]] if case.segments else [],
                "max_past": None,
                "max_future": None,
            }
        )
    document = {
        "kafka": {"bootstrap.servers": bootstrap},
        "topics": {"predictions": names.predictions, "prefix": names.prefix},
        "models": models,
        "limits": {"max_series": 100_000},
        "flush_interval": f"{case.flush_ms}ms",
        "live_horizon": None,
        "state_dir": str(folder / "state"),
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def _profile(shape: Shape) -> Profile:
    rows = [orjson.loads(value) for _, value in predictions(5_000, seed=1, shape=shape)]
    scores = [row["prediction"]["score"] for row in rows]
    return build_profile(
        model_name=MODEL,
        task=Task.BINARY,
        columns={name: [row["features"][name] for row in rows] for name in rows[0]["features"]},
        outputs=scores,
        actuals=[str(int(score > 0.3)) for score in scores],
        positive_class="1",
        created_at=0,
    )


# --- what lies on the topics ------------------------------------------------------------------------------------------


class _Panes:
    """Counts what is in panes messages."""

    def __init__(self) -> None:
        self.deltas = self.progresses = 0

    def see(self, value: bytes) -> None:
        message = decode(value)
        if isinstance(message, Delta):
            self.deltas += len(message.panes)
        else:
            self.progresses += 1


class _Closed:
    """Counts in how many windows of a series predictions were published for the first time."""

    def __init__(self) -> None:
        self.windows = 0

    def see(self, value: bytes) -> None:
        if b'"metric":"predictions"' in value:
            self.windows += orjson.loads(value)["revision"] == 0


def _topic(bootstrap: str, topic: str, see: Callable[[bytes], None] = lambda value: None) -> Topic:
    """All of a topic, each value shown to `see`."""
    reader = _Reader(bootstrap, topic)
    records = size = 0
    newest: dict[tuple[int, bytes], int] = {}
    for partition, key, value in reader:
        see(value)
        records += 1
        size += len(key) + len(value)
        newest[partition, key] = len(key) + len(value)
    return Topic(records, size, reader.wire_bytes, sum(newest.values()))


class _Reader:
    """All committed messages of a topic, from its beginning to its present end."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.wire_bytes = 0
        self._topic = topic
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "bench-reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "fetch.queue.backoff.ms": 20,
                "fetch.wait.max.ms": 50,
                "statistics.interval.ms": 100,
                "stats_cb": self._count,
            }
        )

    def __iter__(self) -> Iterator[tuple[int, bytes, bytes]]:
        """(partition, key, value)."""
        partitions = self._consumer.list_topics(self._topic, 10).topics[self._topic].partitions
        left = set(partitions)
        self._consumer.assign([TopicPartition(self._topic, partition, 0) for partition in partitions])
        try:
            while left:
                for message in self._consumer.consume(1_000, 0.1):
                    if message.error() is None:
                        yield message.partition(), message.key() or b"", message.value() or b""
                    elif message.error().code() == KafkaError._PARTITION_EOF:
                        left.discard(message.partition())
                    else:
                        raise KafkaException(message.error())
            self._consumer.poll(0.3)  # the last statistics
        finally:
            self._consumer.close()

    def _count(self, statistics: str) -> None:
        self.wire_bytes = sum(broker["rxbytes"] for broker in json.loads(statistics)["brokers"].values())
