"""A world for the two folds without Kafka: source logs, several ingest workers, panes logs, a state map, crashes.

The oracle below it is slow and obvious: it looks at all events at once.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from stream_monitor.events.metric import MetricEvent
from stream_monitor.events.policy import DecodePolicy
from stream_monitor.join.store import MemoryStore
from stream_monitor.pipeline.evaluate import EvaluateFold, EvaluateOutput
from stream_monitor.pipeline.horizon import Span
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS, IngestFold, Records
from stream_monitor.pipeline.partition import partition_of
from stream_monitor.pipeline.policy import Policies
from stream_monitor.pipeline.records import StateRecord
from stream_monitor.reference.profile import Profile

DECODE = DecodePolicy(max_past_ms=None, max_future_ms=None)


def prediction(
    id_: str,
    at: float,
    *,
    model: str = "m",
    version: str = "1",
    features: dict[str, object] | None = None,
    tags: dict[str, str] | None = None,
    latency: float | None = 0.01,
    **answer: object,
) -> bytes:
    return json.dumps(
        {
            "model_name": model,
            "model_version": version,
            "prediction_id": id_,
            "timestamp": at,
            "features": features or {},
            "prediction": answer or {"score": 0.5},
            "latency_seconds": latency,
            "tags": tags or {},
        }
    ).encode()


def label(id_: str, at: float, *, model: str = "m", **actual: object) -> bytes:
    return json.dumps({"model_name": model, "prediction_id": id_, "timestamp": at, "actual": actual}).encode()


@dataclass
class World:
    """`predictions[p]`, `labels[p]`: source logs. Everything published is kept in `metrics` and `alerts`.

    `told[p]`: policies and profiles of worker p, where they are not those of evaluate.
    """

    policies: Policies
    profiles: dict[str, Profile] = field(default_factory=dict)
    partitions: int = 2
    decode: DecodePolicy = DECODE
    metrics: list[MetricEvent] = field(default_factory=list)
    alerts: list = field(default_factory=list)
    told: dict[int, tuple[Policies, dict[str, Profile]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.logs = {role: [[] for _ in range(self.partitions)] for role in (PREDICTIONS, LABELS)}
        self.positions = {(role, p): 0 for role in self.logs for p in range(self.partitions)}
        self.panes: list[list[tuple[bytes, int]]] = [[] for _ in range(self.policies.panes_partitions)]
        self.pane_positions = [0] * self.policies.panes_partitions
        self.state: list[dict[bytes, bytes]] = [{} for _ in range(self.policies.panes_partitions)]
        self.folds = [EvaluateFold(self.policies, self.profiles, partition=p) for p in range(len(self.panes))]
        self.clock = 0
        self.store = MemoryStore()
        self.workers: dict[int, IngestFold] = {}
        self.dead = []
        self.counters: Counter[tuple[str, str]] = Counter()
        self.topic_ids: dict[str, str] = {}

    def send(self, role: str, id_: str, value: bytes) -> None:
        self.logs[role][partition_of(id_, self.partitions)].append(value)

    def worker(self, partition: int) -> IngestFold:
        """Each source partition pair has a worker of its own: the most that order may differ."""
        if partition not in self.workers:
            policies, profiles = self.told.get(partition, (self.policies, self.profiles))
            self.workers[partition] = IngestFold(policies, self.decode, profiles, self.store, instance=str(partition))
        return self.workers[partition]

    def ingest(self, partition: int, role: str, most: int) -> None:
        start = self._read[role, partition] if (role, partition) in self._read else self.positions[role, partition]
        values = self.logs[role][partition][start : start + most]
        n = len(values)
        records = Records([partition] * n, range(start, start + n), [self.clock] * n, [None] * n, values)
        fold = self.worker(partition)
        (fold.predictions if role == PREDICTIONS else fold.labels)(records)
        self._read[role, partition] = start + n

    @property
    def _read(self) -> dict[tuple[str, int], int]:
        return self.__dict__.setdefault("read", {})

    def flush(self, partition: int, *, commit: bool = True) -> None:
        spans = {}
        for role in self.logs:
            start = self.positions[role, partition]
            end = self._read.get((role, partition), start)
            spans[role, partition] = Span(start, end, caught_up=end == len(self.logs[role][partition]))
        fold = self.worker(partition)
        flush = fold.flush(self.clock, spans, dict.fromkeys(self.logs, self.partitions), self.topic_ids)
        for role in self.logs:
            self._read.pop((role, partition), None)
        if not commit:
            fold.discarded()
            return
        for message in flush.messages:
            self.panes[message.partition].append((message.value, self.clock))
        for role in self.logs:
            self.positions[role, partition] = spans[role, partition].end
        self.dead.extend(flush.dead_letters)
        self.counters.update(flush.counters.joined)
        fold.committed()

    def recreate(self, role: str, topic_id: str) -> None:
        """The topic is deleted and made anew; its workers and what they remember of it end."""
        self.topic_ids[role] = topic_id
        self.logs[role] = [[] for _ in range(self.partitions)]
        for partition in range(self.partitions):
            self.crash_worker(partition)
            self.positions[role, partition] = 0
            self.store.reset(partition)

    def add_partition(self) -> None:
        """Both topics grow by one."""
        self.partitions += 1
        for role in self.logs:
            self.logs[role].append([])
            self.positions[role, self.partitions - 1] = 0

    def crash_worker(self, partition: int) -> None:
        """Memory is gone; the join store and the committed positions stay."""
        self.workers.pop(partition, None)
        for role in self.logs:
            self._read.pop((role, partition), None)

    def evaluate(self, partition: int, most: int, *, commit: bool = True) -> None:
        fold = self.folds[partition]
        start = self.pane_positions[partition]
        batch = self.panes[partition][start : start + most]
        end = start + len(batch)
        for offset, (value, record_ms) in enumerate(batch, start):
            if not fold.apply(value, offset, record_ms):
                end = min(end, offset)
        output = fold.drain()
        if not commit:
            self.crash_evaluate(partition)
            return
        self.pane_positions[partition] = end
        self.publish(partition, output)

    def publish(self, partition: int, output: EvaluateOutput) -> None:
        for record in output.state:
            if record.value is None:
                self.state[partition].pop(record.key, None)
            else:
                self.state[partition][record.key] = record.value
        self.metrics.extend(output.metrics)
        self.alerts.extend(output.alerts)
        for worker in self.workers.values():
            worker.adopt(output.profiles)

    def crash_evaluate(self, partition: int) -> None:
        records = [StateRecord(key, value) for key, value in self.state[partition].items()]
        random.shuffle(records)
        position = self.pane_positions[partition] or None
        self.folds[partition] = EvaluateFold.restore(
            self.policies, self.profiles, records, partition=partition, position=position
        )

    def run_out(self, *, step: int = 50) -> None:
        """Read everything that is left, then let the inputs end."""
        while any(self.positions[role, p] < len(self.logs[role][p]) for role, p in self.positions):
            self.clock += 1_000
            for p in range(self.partitions):
                for role in self.logs:
                    self.ingest(p, role, step)
                self.flush(p)
        for partition in range(len(self.panes)):
            self.evaluate(partition, 1 << 30)
            fold = self.folds[partition]
            fold.finish()
            self.publish(partition, fold.drain())
            while fold.is_behind:
                fold.go_on()
                self.publish(partition, fold.drain())


def newest(metrics: Iterable[MetricEvent]) -> dict[tuple, MetricEvent]:
    """Highest revision of each figure but too_late, by everything that identifies it."""
    found: dict[tuple, MetricEvent] = {}
    for event in metrics:
        if event.metric == "too_late":
            continue
        key = figure_key(event)
        if key not in found or event.revision > found[key].revision:
            found[key] = event
    return found


def figure_key(event: MetricEvent) -> tuple:
    w = event.window
    detector = getattr(event.detector, "kind", None), getattr(event.detector, "signal", None)
    segment = tuple(sorted(event.segment.items()))
    return (
        event.model_name, event.model_version, segment, w.time_basis, w.start, w.end, w.slide_seconds,
        event.metric, event.feature, event.class_ if isinstance(event.class_, str) else None, detector,
    )  # fmt: skip


def counted(metrics: Iterable[MetricEvent], metric: str, basis: str) -> Counter[tuple]:
    """Published count of the newest revision + all too_late, by (version, segment, start, size)."""
    metrics = list(metrics)
    total: Counter[tuple] = Counter()
    for event in newest(metrics).values():
        if event.metric == metric and event.window.time_basis == basis:
            total[_series_window(event)] += int(event.value or 0)
    for event in metrics:
        if event.metric == "too_late" and event.window.time_basis == basis and event.model_version is not None:
            total[_series_window(event)] += int(event.value or 0)
    return +total


def _series_window(event: MetricEvent) -> tuple:
    segment = ",".join(f"{k}={v}" for k, v in sorted(event.segment.items()))
    return (event.model_name, event.model_version, segment, event.window.start, event.window.size_seconds)


def expected_counts(events: Iterable[tuple[str, str, dict[str, str], int]], policies: Policies) -> Counter[tuple]:
    """Oracle: (model, version, tags, time in ms) of each counted event → counts by series and window."""
    from stream_monitor.events.times import format_timestamp

    total: Counter[tuple] = Counter()
    for model, version, tags, at in events:
        policy = policies.model(model)
        segments = [""] + [
            ",".join(f"{name}={tags.get(name, '__missing__')}" for name in sorted(names)) for names in policy.segments
        ]
        for spec in policy.windows:
            start = at - at % spec.slide_ms
            while start > at - spec.size_ms:
                for segment in segments:
                    total[model, version, segment, format_timestamp(start), spec.size_ms // 1000] += 1
                start -= spec.slide_ms
    return total


def first_of(events: Iterable[dict], *keys: str) -> list[dict]:
    seen, kept = set(), []
    for event in events:
        key = tuple(event[k] for k in keys)
        if key not in seen:
            seen.add(key)
            kept.append(event)
    return kept


def grouped(events: Iterable[dict], key: str) -> dict[object, list[dict]]:
    groups: dict[object, list[dict]] = defaultdict(list)
    for event in events:
        groups[event[key]].append(event)
    return groups
