"""What the two stages say to the board after each Kafka commit. Frozen; nothing here is believed before it.

Promises: increments, never totals, except where a field says so; model and topic names as they are in events.
Costs: what the caller puts in. Leaves to others: when a commit has happened (the transactional loop).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent
from stream_monitor.pipeline.latency import LatencyCounts


@dataclass(frozen=True, slots=True)
class HistogramIncrement:
    """Observations by bucket: `counts[i]` in (bounds[i-1], bounds[i]], the last one above all; `total` their sum.

    Negative observations count as 0, so that the sum of a histogram only grows.
    """

    counts: tuple[int, ...]
    total: float

    def __post_init__(self) -> None:
        if not self.total >= 0 or min(self.counts) < 0:
            raise ValueError(f"a histogram only grows, found total {self.total} and counts {self.counts}")

    @classmethod
    def counted(cls, counts: LatencyCounts) -> HistogramIncrement:
        """From what ingest counted. Labels before their predictions can make its sum negative: then it adds 0."""
        return cls(tuple(counts.counts.tolist()), max(counts.sum, 0.0))

    @classmethod
    def of(cls, values: Iterable[float], bounds: Sequence[float]) -> HistogramIncrement:
        """O(n log b). NaN is refused with ValueError, it would spoil the sum for ever."""
        array = np.maximum(np.fromiter(values, dtype=np.float64), 0.0)
        if np.isnan(array).any():
            raise ValueError("an observation of a histogram must be a number, found NaN")
        slots = np.searchsorted(np.asarray(bounds), array, side="left")
        counts = np.bincount(slots, minlength=len(bounds) + 1)
        return cls(tuple(counts.tolist()), float(array.sum()))

    def plus(self, other: HistogramIncrement) -> HistogramIncrement:
        if len(self.counts) != len(other.counts):
            raise ValueError(f"histograms must have the same buckets, found {len(self.counts)} and {len(other.counts)}")
        counts = tuple(mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True))
        return HistogramIncrement(counts, self.total + other.total)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a panes partition owns; `reference` is its kind (training, bootstrap, ...) or empty."""

    model_name: str
    task: str = ""
    reference: str = ""
    reference_id: str = ""


@dataclass(frozen=True, slots=True)
class FiringAlert:
    """One series of one rule that fires now."""

    model_name: str
    alert: str
    severity: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class LoopWorked:
    """What the loop of one stage did, aborted work included.

    seconds        step → seconds spent at it
    batches        messages of each batch handed to the stage
    transactions   seconds of each committed transaction
    produced       topic → messages written and committed
    aborts         transactions given up
    rebalances     times that partitions were assigned
    forced         limit → flushes made before they were due because it was reached
    """

    role: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    batches: Sequence[int] = ()
    transactions: Sequence[float] = ()
    produced: Mapping[str, int] = field(default_factory=dict)
    aborts: int = 0
    rebalances: int = 0
    forced: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvaluateCommitted:
    """One commit of the evaluate stage, for one panes partition. Empty ones keep the partition's gauges alive.

    committed_at     monotonic seconds of the board's clock
    watermarks_ms    (model, time basis) → ms since epoch; those not named keep their last value
    models           all models the partition owns now; null: as before
    changes          (model, signal, detector kind) → changes found
    trimmed          topic → events that were too large to be published in full
    limited          (model, limit) → what was not kept apart, or not at all, because of it
    lag              (topic, partition) → messages behind, replaces what was said before
    firing           all that fires now, replaces what the alerts said (needed after a restore); null: by `alerts`
    """

    partition: int
    committed_at: float
    metrics: Sequence[MetricEvent] = ()
    alerts: Sequence[AlertEvent] = ()
    watermarks_ms: Mapping[tuple[str, str], int] = field(default_factory=dict)
    models: Sequence[ModelInfo] | None = None
    changes: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    limited: Mapping[tuple[str, str], int] = field(default_factory=dict)
    trimmed: Mapping[str, int] = field(default_factory=dict)
    lag: Mapping[tuple[str, int], int] = field(default_factory=dict)
    firing: Sequence[FiringAlert] | None = None


@dataclass(frozen=True, slots=True)
class IngestCommitted:
    """One commit of an ingest worker.

    committed_at         monotonic seconds of the board's clock
    worker               tells apart several ingest loops that share one board
    consumed             topic → events
    rejected             (topic, reason) → events
    left_out             the same, of those that have no dead letter of their own
    predictions          (model, version) → predictions counted
    joined               (model, outcome) → labels
    join_entries         entries in this worker's join stores now; null where it has none
    join_bytes           their bytes on disk; null where it has none
    held_bytes           memory of what waited for the commit, roughly
    join_evicted         entries that left the join stores because of their limit
    lag                  (topic, partition) → messages behind, for all partitions it owns now
    processing_seconds   one observation a batch, from read to commit
    latency              model → increments over pipeline.latency.BOUNDS_SECONDS
    label_delay          model → the same, of label delays
    """

    committed_at: float
    worker: str = ""
    consumed: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[tuple[str, str], int] = field(default_factory=dict)
    left_out: Mapping[tuple[str, str], int] = field(default_factory=dict)
    predictions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    joined: Mapping[tuple[str, str], int] = field(default_factory=dict)
    join_entries: int | None = None
    join_bytes: int | None = None
    held_bytes: int = 0
    join_evicted: int = 0
    lag: Mapping[tuple[str, int], int] = field(default_factory=dict)
    processing_seconds: Sequence[float] = ()
    latency: Mapping[str, HistogramIncrement] = field(default_factory=dict)
    label_delay: Mapping[str, HistogramIncrement] = field(default_factory=dict)
