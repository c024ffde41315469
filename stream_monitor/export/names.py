"""Every Prometheus name the monitor exports: type, help and labels, in this one file.

Promises: a name stands here once and its labels never change order. Costs: nothing at run time.
Leaves to others: which samples exist now (board.py) and how they are written (collector.py).

Base units (seconds, ratios) and suffixes (`_total`, `_seconds`, `_ratio`) are those `promtool check metrics` asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stream_monitor.pipeline.latency import BOUNDS_SECONDS

PREFIX = "streammonitor_"

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family; `name` is full for gauges and histograms and ends in `_total` for counters.

    buckets   upper bounds of a classic histogram, ascending, without +Inf
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def sample_names(self) -> tuple[str, ...]:
        """The names a query can use."""
        if self.kind == "histogram":
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        return (self.name,)


def _counter(name: str, help: str, *labels: str) -> Family:  # noqa: A002  # the word of the exposition format
    return Family(PREFIX + name, "counter", help, labels)


def _gauge(name: str, help: str, *labels: str) -> Family:  # noqa: A002
    return Family(PREFIX + name, "gauge", help, labels)


def _histogram(name: str, help: str, buckets: tuple[float, ...], *labels: str) -> Family:  # noqa: A002
    return Family(PREFIX + name, "histogram", help, labels, buckets)


_SERIES = ("model_name", "model_version", "segment")
_DRIFT = (*_SERIES, "feature", "metric", "reference", "window")

# Read to commit; a flush a second is usual, a transaction ends within 15 s.
PROCESSING_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# A commit takes milliseconds; after 15 s the broker gives the transaction up.
TRANSACTION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
# 5,000 is the most that the loop reads at once.
BATCH_BUCKETS = (1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0)

BUILD_INFO = _gauge("build_info", "The running version, as a label; always 1.", "version")
MODEL_INFO = _gauge(
    "model_info",
    "A model this process owns, with its task and reference as labels; always 1.",
    "model_name",
    "task",
    "reference",
    "reference_id",
)
EVENTS_CONSUMED = _counter("events_consumed_total", "Events read from a topic and committed.", "topic")
EVENTS_REJECTED = _counter(
    "events_rejected_total", "Events refused and sent to the dead letters, by reason.", "topic", "reason"
)
DEAD_LETTERS_LEFT_OUT = _counter(
    "dead_letters_left_out_total",
    "Rejected events without a dead letter of their own, because their flush had reached its limit of them.",
    "topic",
    "reason",
)
PREDICTIONS = _counter(
    "predictions_total", "Predictions counted, without duplicates and rejects.", "model_name", "model_version"
)
DRIFT_SCORE = _gauge("drift_score", "Drift of the newest closed window against its reference; status ok only.", *_DRIFT)
DRIFT_RATIO = _gauge("drift_ratio", "Drift score divided by its threshold; above 1 is beyond it.", *_DRIFT)
WINDOW_SAMPLES = _gauge("window_samples", "Predictions in the newest closed window.", *_SERIES, "window")
WINDOW_END = _gauge(
    "window_end_timestamp_seconds", "End of the newest closed window, in event time.", *_SERIES, "window"
)
FEATURE_MISSING = _gauge(
    "feature_missing_ratio",
    "Share of predictions of the newest closed window in which the feature was missing.",
    *_SERIES,
    "feature",
    "window",
)
MODEL_PERFORMANCE = _gauge(
    "model_performance",
    "Performance of the newest closed window (accuracy, f1, auc_roc, rmse, ...); status ok only.",
    *_SERIES,
    "metric",
    "window",
    "time_basis",
)
PREDICTION_LATENCY = _histogram(
    "prediction_latency_seconds",
    "Latency the prediction events state.",
    BOUNDS_SECONDS,
    "model_name",
)
CHANGES_DETECTED = _counter(
    "changes_detected_total", "Changes found by a drift detector.", "model_name", "signal", "detector"
)
ALERT_ACTIVE = _gauge(
    "alert_active", "1 while any series of the alert fires, 0 after it resolved.", "model_name", "alert", "severity"
)
LABELS_JOINED = _counter(
    "labels_joined_total",
    "What came of labels: new, revised, duplicate or ineligible; joined: pairs made of a label and its prediction, "
    "of which unknown_class are in no figure; duplicate_prediction: predictions that came again.",
    "model_name",
    "outcome",
)
JOIN_STATE_ENTRIES = _gauge("join_state_entries", "Entries in the local join stores of this process.")
JOIN_STATE_BYTES = _gauge("join_state_bytes", "Bytes on disk of the local join stores of this process.")
JOIN_EVICTED = _counter(
    "join_entries_evicted_total",
    "Join entries forgotten before their time, the oldest first, because a partition had limits.max_join_entries.",
)
UNFLUSHED_BYTES = _gauge(
    "unflushed_bytes",
    "Memory, roughly, of what waited for the last commit of ingest; at limits.max_unflushed_bytes it is flushed.",
)
LABEL_DELAY = _histogram(
    "label_delay_seconds",
    "Event time from a prediction to its label; a label before its prediction counts as 0.",
    BOUNDS_SECONDS,
    "model_name",
)
EVENT_PROCESSING = _histogram(
    "event_processing_seconds",
    "Time from reading a batch of events to the commit that made it count.",
    PROCESSING_BUCKETS,
)
CONSUMER_LAG = _gauge("consumer_lag_messages", "Messages behind the end of an owned partition.", "topic", "partition")
WATERMARK = _gauge(
    "watermark_timestamp_seconds",
    "Event time up to which everything has been seen; windows that end before it are closed.",
    "model_name",
    "time_basis",
)
SERIES_LIMITED = _counter(
    "series_limited_total",
    "What a limit left out: increments booked as __other__ (limit=series, limit=versions), events of models that are "
    "not kept (limit=models), gauges not exported (limit=export).",
    "model_name",
    "limit",
)
EVENTS_TRIMMED = _counter(
    "events_trimmed_total",
    "Events published without their bins, cells or evidence, which would have made them larger than a message.",
    "topic",
)
LOOP_SECONDS = _counter(
    "loop_seconds_total",
    "Where the time of a stage's loop goes. wait: nothing to read; consume: taking messages out of the client; "
    "process: decoding and folding; drain: making the records of a flush; produce: until the brokers have them; "
    "commit: ending the transaction; store: the join store; assign: rebalances, restore, replay; other: the rest.",
    "role",
    "step",
)
LOOP_BATCH = _histogram("loop_batch_messages", "Messages a batch that was handed to the stage.", BATCH_BUCKETS, "role")
TRANSACTION = _histogram(
    "transaction_seconds", "Time of a committed transaction, from its begin.", TRANSACTION_BUCKETS, "role"
)
TRANSACTIONS_ABORTED = _counter(
    "transactions_aborted_total", "Transactions given up; what they held is read and done again.", "role"
)
MESSAGES_PRODUCED = _counter("messages_produced_total", "Messages written to a topic and committed.", "role", "topic")
FORCED_FLUSHES = _counter(
    "forced_flushes_total",
    "Flushes made before they were due because what was folded (memory) or read (messages) had reached its limit.",
    "role",
    "limit",
)
REBALANCES = _counter("rebalances_total", "Times that partitions were assigned to a stage.", "role")
GC_PAUSE = _counter(
    "gc_pause_seconds_total", "Time in which Python's garbage collector stopped the process.", "generation"
)
GC_COLLECTIONS = _counter("gc_collections_total", "Runs of Python's garbage collector.", "generation")
HTTP_REFUSED = _counter("http_requests_refused_total", "Clients of this endpoint turned away, by reason.", "reason")
REACTIONS = _counter("reactions_total", "Events a reaction handled, by outcome.", "reaction", "outcome")

FAMILIES: tuple[Family, ...] = (
    BUILD_INFO,
    MODEL_INFO,
    EVENTS_CONSUMED,
    EVENTS_REJECTED,
    DEAD_LETTERS_LEFT_OUT,
    PREDICTIONS,
    DRIFT_SCORE,
    DRIFT_RATIO,
    WINDOW_SAMPLES,
    WINDOW_END,
    FEATURE_MISSING,
    MODEL_PERFORMANCE,
    PREDICTION_LATENCY,
    CHANGES_DETECTED,
    ALERT_ACTIVE,
    LABELS_JOINED,
    JOIN_STATE_ENTRIES,
    JOIN_STATE_BYTES,
    JOIN_EVICTED,
    UNFLUSHED_BYTES,
    LABEL_DELAY,
    EVENT_PROCESSING,
    CONSUMER_LAG,
    WATERMARK,
    SERIES_LIMITED,
    EVENTS_TRIMMED,
    LOOP_SECONDS,
    LOOP_BATCH,
    TRANSACTION,
    TRANSACTIONS_ABORTED,
    MESSAGES_PRODUCED,
    FORCED_FLUSHES,
    REBALANCES,
    GC_PAUSE,
    GC_COLLECTIONS,
    HTTP_REFUSED,
    REACTIONS,
)
