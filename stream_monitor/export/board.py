"""The board: what the last commits said, for anyone who scrapes. Written by the stages, read by the collector.

Promises: `snapshot()` is immutable and of whole commits only, from any thread; counters only grow; the gauges of a
partition vanish when it is dropped or when its last commit is older than the session timeout, because another
process may own its models by then. Costs: a commit copies the maps of the models it touches; a snapshot nothing.
Leaves to others: calling it after the Kafka commit, never before; the exposition (collector.py).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from stream_monitor.events.alert import AlertEvent
from stream_monitor.export import names
from stream_monitor.export.commits import (
    EvaluateCommitted,
    FiringAlert,
    HistogramIncrement,
    IngestCommitted,
    LoopWorked,
    ModelInfo,
)
from stream_monitor.export.gauges import GaugeKey, ModelView, advance
from stream_monitor.export.policy import ExportPolicy
from stream_monitor.export.totals import Labels, Totals

_AlertKey = tuple[str, str, str]  # model, alert, severity


@dataclass(frozen=True, slots=True)
class PartitionView:
    """What one panes partition shows. `alerts`: fingerprints that fire now, an empty set once all resolved."""

    committed_at: float
    models: Mapping[str, ModelInfo] = field(default_factory=dict)
    views: Mapping[str, ModelView] = field(default_factory=dict)
    watermarks_ms: Mapping[tuple[str, str], int] = field(default_factory=dict)
    alerts: Mapping[_AlertKey, frozenset[str]] = field(default_factory=dict)
    lag: Mapping[tuple[str, int], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkerView:
    """What one ingest worker shows."""

    committed_at: float
    join_entries: int | None
    join_bytes: int | None
    held_bytes: int
    lag: Mapping[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a scrape needs, frozen."""

    totals: Totals
    session_timeout_s: float
    partitions: Mapping[int, PartitionView] = field(default_factory=dict)
    workers: Mapping[str, WorkerView] = field(default_factory=dict)

    def gauges(self, now: float) -> Mapping[GaugeKey, float]:
        """The gauges of all that committed within the session timeout before `now` (monotonic seconds).

        Each key once, whatever the partitions say: the later commit wins.
        """
        oldest = now - self.session_timeout_s
        found: dict[GaugeKey, float] = {}
        for partition in sorted(self.partitions.values(), key=lambda view: view.committed_at):
            if partition.committed_at >= oldest:
                found.update(_partition_gauges(partition))
        summed: Counter[str] = Counter()
        for worker in sorted(self.workers.values(), key=lambda view: view.committed_at):
            if worker.committed_at >= oldest:
                found.update(_lag_gauges(worker.lag))
                for family, value in (
                    (names.JOIN_STATE_ENTRIES, worker.join_entries),
                    (names.JOIN_STATE_BYTES, worker.join_bytes),
                    (names.UNFLUSHED_BYTES, worker.held_bytes),
                ):
                    if value is not None:
                        summed[family.name] += value
        found.update({(name, ()): float(value) for name, value in summed.items()})
        return found

    def counters(self, family: names.Family) -> Mapping[Labels, float]:
        return self.totals.counters.get(family.name, {})

    def histograms(self, family: names.Family) -> Mapping[Labels, HistogramIncrement]:
        return self.totals.histograms.get(family.name, {})


class Board:
    """The one shared thing between the stages' threads and the scraping thread.

    `clock` gives monotonic seconds, the same that `committed_at` is taken from.
    """

    def __init__(
        self,
        policy: ExportPolicy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        policy = policy or ExportPolicy()
        self._policy = policy
        self._lock = threading.Lock()
        self._snapshot = Snapshot(Totals(policy.max_counter_labels), policy.session_timeout_s)
        self.clock = clock

    @property
    def segments(self) -> frozenset[str] | None:
        """Labels of the segments that are shown; None: all of them."""
        return self._policy.segments

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def publish_evaluate(self, committed: EvaluateCommitted) -> None:
        with self._lock:
            self._snapshot = _with_evaluate(self._snapshot, committed, self._policy)

    def publish_ingest(self, committed: IngestCommitted) -> None:
        with self._lock:
            self._snapshot = _with_ingest(self._snapshot, committed)

    def publish_loop(self, worked: LoopWorked) -> None:
        with self._lock:
            self._snapshot = replace(self._snapshot, totals=_with_loop(self._snapshot.totals, worked))

    def drop_partition(self, partition: int) -> None:
        """Another process owns its models now (revoked or lost)."""
        with self._lock:
            kept = {key: view for key, view in self._snapshot.partitions.items() if key != partition}
            self._snapshot = replace(self._snapshot, partitions=kept)

    def drop_worker(self, worker: str = "") -> None:
        """An ingest worker stopped: its lag and join entries vanish, what it counted stays."""
        with self._lock:
            kept = {key: view for key, view in self._snapshot.workers.items() if key != worker}
            self._snapshot = replace(self._snapshot, workers=kept)

    def count_http_refusal(self, reason: str) -> None:
        """A client of the endpoint was turned away."""
        with self._lock:
            self._snapshot = replace(
                self._snapshot, totals=self._snapshot.totals.count(names.HTTP_REFUSED, {(reason,): 1})
            )

    def count_reaction(self, reaction: str, outcome: str) -> None:
        with self._lock:
            totals = self._snapshot.totals.count(names.REACTIONS, {(reaction, outcome): 1})
            self._snapshot = replace(self._snapshot, totals=totals)


def _with_evaluate(snapshot: Snapshot, committed: EvaluateCommitted, policy: ExportPolicy) -> Snapshot:
    held = snapshot.partitions.get(committed.partition, PartitionView(committed.committed_at))
    models = held.models
    if committed.models is not None:
        models = {model.model_name: model for model in committed.models}
    touched = {event.model_name for event in committed.metrics}
    advanced = {
        model: advance(
            held.views.get(model, ModelView()),
            [event for event in committed.metrics if event.model_name == model],
            policy,
        )
        for model in sorted(touched)
    }
    views = {**held.views, **advanced}
    watermarks = {**held.watermarks_ms, **committed.watermarks_ms}
    alerts = _alerts(held.alerts, committed.alerts, committed.firing)
    if committed.models is not None:
        views = {model: view for model, view in views.items() if model in models}
        watermarks = {key: value for key, value in watermarks.items() if key[0] in models}
        alerts = {key: firing for key, firing in alerts.items() if not key[0] or key[0] in models}
    partition = PartitionView(committed.committed_at, models, views, watermarks, alerts, dict(committed.lag))
    limited: dict[tuple[str, str], int] = {
        (model, "export"): view.newly_left_out for model, view in advanced.items() if view.newly_left_out
    }
    limited |= committed.limited
    totals = snapshot.totals.count(names.CHANGES_DETECTED, committed.changes)
    totals = totals.count(names.SERIES_LIMITED, limited)
    totals = totals.count(names.EVENTS_TRIMMED, {(topic,): n for topic, n in committed.trimmed.items()})
    return replace(snapshot, totals=totals, partitions={**snapshot.partitions, committed.partition: partition})


def _with_ingest(snapshot: Snapshot, committed: IngestCommitted) -> Snapshot:
    totals = snapshot.totals
    totals = totals.count(names.EVENTS_CONSUMED, {(topic,): n for topic, n in committed.consumed.items()})
    totals = totals.count(names.EVENTS_REJECTED, committed.rejected)
    totals = totals.count(names.DEAD_LETTERS_LEFT_OUT, committed.left_out)
    totals = totals.count(names.PREDICTIONS, committed.predictions)
    totals = totals.count(names.LABELS_JOINED, committed.joined)
    if committed.join_entries is not None:
        totals = totals.count(names.JOIN_EVICTED, {(): committed.join_evicted})
    totals = totals.observe(names.PREDICTION_LATENCY, {(model,): n for model, n in committed.latency.items()})
    totals = totals.observe(names.LABEL_DELAY, {(model,): n for model, n in committed.label_delay.items()})
    if committed.processing_seconds:
        observed = HistogramIncrement.of(committed.processing_seconds, names.PROCESSING_BUCKETS)
        totals = totals.observe(names.EVENT_PROCESSING, {(): observed})
    worker = WorkerView(
        committed.committed_at,
        committed.join_entries,
        committed.join_bytes,
        committed.held_bytes,
        dict(committed.lag),
    )
    return replace(snapshot, totals=totals, workers={**snapshot.workers, committed.worker: worker})


def _with_loop(totals: Totals, worked: LoopWorked) -> Totals:
    role = worked.role
    totals = totals.count(names.LOOP_SECONDS, {(role, step): spent for step, spent in worked.seconds.items()})
    totals = totals.count(names.MESSAGES_PRODUCED, {(role, topic): n for topic, n in worked.produced.items()})
    # Also when they are 0: a rate needs the sample before the first.
    totals = totals.count(names.TRANSACTIONS_ABORTED, {(role,): worked.aborts})
    totals = totals.count(names.REBALANCES, {(role,): worked.rebalances})
    totals = totals.count(names.FORCED_FLUSHES, {(role, limit): n for limit, n in worked.forced.items()})
    batches = HistogramIncrement.of(worked.batches, names.BATCH_BUCKETS)
    totals = totals.observe(names.LOOP_BATCH, {(role,): batches})
    transactions = HistogramIncrement.of(worked.transactions, names.TRANSACTION_BUCKETS)
    return totals.observe(names.TRANSACTION, {(role,): transactions})


def _alerts(
    held: Mapping[_AlertKey, frozenset[str]],
    transitions: Sequence[AlertEvent],
    firing: Sequence[FiringAlert] | None,
) -> dict[_AlertKey, frozenset[str]]:
    """Fingerprints that fire, after the transitions, or as `firing` says where it is given."""
    if firing is not None:
        now: dict[_AlertKey, frozenset[str]] = dict.fromkeys(held, frozenset())
        for alert in firing:
            key = (alert.model_name, alert.alert, alert.severity)
            now[key] = now.get(key, frozenset()) | {alert.fingerprint}
        return now
    now = dict(held)
    for event in transitions:
        key = (
            event.labels.get("model_name", ""),
            event.labels.get("alertname", ""),
            event.labels.get("severity", ""),
        )
        fingerprints = now.get(key, frozenset())
        if event.state == "resolved":
            # A replayed window may end what fired live; only a live start is shown.
            if key in now:
                now[key] = fingerprints - {event.fingerprint}
        elif not event.historical:
            now[key] = fingerprints | {event.fingerprint} if event.state == "firing" else fingerprints
    return now


def _partition_gauges(view: PartitionView) -> dict[GaugeKey, float]:
    found: dict[GaugeKey, float] = {}
    for model in view.models.values():
        labels = (model.model_name, model.task, model.reference, model.reference_id)
        found[names.MODEL_INFO.name, labels] = 1.0
    for model_view in view.views.values():
        found.update(model_view.gauges)
    for basis, watermark_ms in view.watermarks_ms.items():
        found[names.WATERMARK.name, basis] = watermark_ms / 1_000
    for alert, fingerprints in view.alerts.items():
        found[names.ALERT_ACTIVE.name, alert] = 1.0 if fingerprints else 0.0
    found.update(_lag_gauges(view.lag))
    return found


def _lag_gauges(lag: Mapping[tuple[str, int], int]) -> dict[GaugeKey, float]:
    return {
        (names.CONSUMER_LAG.name, (topic, str(partition))): float(messages)
        for (topic, partition), messages in lag.items()
    }
