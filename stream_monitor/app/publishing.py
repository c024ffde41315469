"""From what a stage committed to what the board shows: a translation, run on the stage's thread after each commit."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from stream_monitor.alerts.judge import ActiveAlert
from stream_monitor.events.metric import DetectorRef, MetricEvent
from stream_monitor.events.names import ALL_SEGMENTS, MetricName
from stream_monitor.export.board import Board
from stream_monitor.export.commits import (
    EvaluateCommitted,
    FiringAlert,
    HistogramIncrement,
    IngestCommitted,
    LoopWorked,
    ModelInfo,
)
from stream_monitor.kafka.evaluate import EvaluateCommit
from stream_monitor.kafka.ingest import IngestCommit
from stream_monitor.kafka.snapshot import LoopSnapshot, Work
from stream_monitor.pipeline.metric_events import MetricEvents
from stream_monitor.pipeline.policy import Policies
from stream_monitor.pipeline.repartition import RepartitionCounters
from stream_monitor.reference.profile import Profile

log = structlog.get_logger("stream_monitor.app")


class IngestPublisher:
    """`topics`: role → topic name. The lag is the one known at the commit before."""

    def __init__(self, board: Board, topics: Mapping[str, str]) -> None:
        self._board, self._topics = board, topics
        self._lag: Mapping[tuple[str, int], int] = {}
        self.committed = False

    def on_commit(self, commit: IngestCommit) -> None:
        counters = commit.counters
        self._board.publish_ingest(
            IngestCommitted(
                committed_at=self._board.clock(),
                consumed={self._topics[role]: count for role, count in counters.consumed.items()},
                rejected={(self._topics[role], why): count for (role, why), count in counters.rejected.items()},
                left_out={(self._topics[role], why): count for (role, why), count in counters.left_out.items()},
                predictions=dict(counters.predictions),
                joined=dict(counters.joined),
                join_entries=commit.join_entries,
                join_bytes=commit.join_bytes,
                held_bytes=commit.held_bytes,
                join_evicted=commit.join_evicted,
                lag=self._lag,
                processing_seconds=commit.processing_seconds,
                latency={model: HistogramIncrement.counted(counts) for model, counts in counters.latency.items()},
                label_delay={m: HistogramIncrement.counted(counts) for m, counts in counters.label_delay.items()},
            )
        )

    def on_snapshot(self, snapshot: LoopSnapshot) -> None:
        self._board.publish_loop(loop_worked("ingest", snapshot.work))
        self._lag = {(tp.topic, tp.partition): messages for tp, messages in snapshot.lag.items()}
        self.committed = snapshot.commits > 0


class RepartitionPublisher:
    """As IngestPublisher; what it counts is of the source topics themselves."""

    def __init__(self, board: Board, topics: Mapping[str, str]) -> None:
        self._board, self._topics = board, topics
        self._lag: Mapping[tuple[str, int], int] = {}
        self.committed = False

    def on_commit(self, counters: RepartitionCounters) -> None:
        self._board.publish_ingest(
            IngestCommitted(
                committed_at=self._board.clock(),
                worker="repartition",
                consumed={self._topics[role]: count for role, count in counters.consumed.items()},
                rejected={(self._topics[role], why): count for (role, why), count in counters.rejected.items()},
                left_out={(self._topics[role], why): count for (role, why), count in counters.left_out.items()},
                lag=self._lag,
            )
        )

    def on_snapshot(self, snapshot: LoopSnapshot) -> None:
        self._board.publish_loop(loop_worked("repartition", snapshot.work))
        self._lag = {(tp.topic, tp.partition): messages for tp, messages in snapshot.lag.items()}
        self.committed = snapshot.commits > 0


class EvaluatePublisher:
    """Commits come per partition and only where something was published; the snapshot after them comes each time
    and keeps the gauges of quiet partitions alive."""

    def __init__(
        self,
        board: Board,
        policies: Policies,
        profiles: Mapping[str, Profile],
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._board, self._policies, self._now_ms = board, policies, now_ms
        self._references: dict[str, tuple[str, str]] = {
            name: (profile.kind, profile.id) for name, profile in profiles.items()
        }
        self._unlisted: set[str] = set()  # models that the log has named
        self._limited: dict[tuple[int, str, str], int] = {}
        self._shown: set[int] = set()  # partitions that the board has seen since they were assigned
        self._waiting: list[EvaluateCommit] = []
        self._commits = 0
        self._held: set[int] = set()
        self.committed = False

    @property
    def knows_schemas(self) -> bool:
        """False while a partition waits for a profile."""
        return not self._held

    def on_commit(self, commit: EvaluateCommit) -> None:
        self._waiting.append(commit)
        if commit.output.summary.held:
            self._held.add(commit.partition)
        else:
            self._held.discard(commit.partition)

    def on_revoked(self, partitions: Sequence[int]) -> None:
        self._held.difference_update(partitions)
        for partition in partitions:
            self._board.drop_partition(partition)
            self._shown.discard(partition)
            for key in [key for key in self._limited if key[0] == partition]:
                del self._limited[key]

    def on_snapshot(self, snapshot: LoopSnapshot) -> None:
        self._board.publish_loop(loop_worked("evaluate", snapshot.work))
        waiting, self._waiting = self._waiting, []
        if snapshot.commits == self._commits:
            return  # an assignment, not a commit
        self._commits, self.committed = snapshot.commits, True
        lag = {tp.partition: {(tp.topic, tp.partition): messages} for tp, messages in snapshot.lag.items()}
        done = set()
        for commit in waiting:
            done.add(commit.partition)
            self._board.publish_evaluate(self._translated(commit, lag.get(commit.partition, {})))
        for tp in snapshot.positions:
            if tp.partition not in done:
                self._board.publish_evaluate(
                    EvaluateCommitted(tp.partition, self._board.clock(), lag=lag.get(tp.partition, {}))
                )

    def _translated(self, commit: EvaluateCommit, lag: Mapping[tuple[str, int], int]) -> EvaluateCommitted:
        output = commit.output
        for name in output.summary.models:
            if name not in self._policies.models and name not in self._unlisted:
                self._unlisted.add(name)
                log.info("a model registered itself, without a reference", model=name)
        self._references |= {p.model_name: (p.kind, p.id) for p in output.profiles}
        metrics = list(self._shown_events(output.metrics))
        for event in metrics:
            if event.reference is not None:
                self._references[event.model_name] = (str(event.reference.kind), event.reference.id)
        first = commit.partition not in self._shown
        self._shown.add(commit.partition)
        return EvaluateCommitted(
            partition=commit.partition,
            committed_at=self._board.clock(),
            metrics=[*commit.restored, *metrics],
            alerts=output.alerts,
            watermarks_ms=output.summary.watermarks_ms,
            models=[self._model(name) for name in output.summary.models],
            changes=changes_in(metrics),
            trimmed=commit.trimmed,
            limited=self._newly_limited(commit.partition, output.summary.limited),
            lag=lag,
            # After a restore the transitions that led here were published long ago.
            firing=self._firing(commit.active.items()) if first else None,
        )

    def _shown_events(self, metrics: MetricEvents) -> Iterable[MetricEvent]:
        """Those that the board has a use for, and those of overall series: the others need not be made again."""
        segments = self._board.segments
        return metrics if segments is None else metrics.of_segments(segments | {ALL_SEGMENTS})

    def _model(self, name: str) -> ModelInfo:
        kind, id_ = self._references.get(name, ("", ""))
        return ModelInfo(name, str(self._policies.model(name).outcome.task), kind, id_)

    def _newly_limited(self, partition: int, totals: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
        """The fold's counts are totals that survive a restart; the board wants what came since it looks."""
        grown = {}
        is_first = not any(key[0] == partition for key in self._limited)
        for (model, limit), total in totals.items():
            # A limit that is reached for the first time is not in the totals before.
            before = self._limited.get((partition, model, limit), total if is_first else 0)
            self._limited[partition, model, limit] = total
            if total > before:
                grown[model, limit] = total - before
        return grown

    def _firing(self, active: Iterable[tuple[str, ActiveAlert]]) -> list[FiringAlert]:
        horizon = self._policies.live_horizon_ms
        oldest = None if horizon is None else self._now_ms() - horizon
        return [
            FiringAlert(
                model_name=alert.labels.get("model_name", ""),
                alert=alert.labels.get("alertname", alert.rule),
                severity=alert.labels.get("severity", ""),
                fingerprint=fingerprint,
            )
            for fingerprint, alert in active
            if alert.state.phase == "firing" and (oldest is None or alert.state.judged_end_ms >= oldest)
        ]


def loop_worked(role: str, work: Work) -> LoopWorked:
    return LoopWorked(
        role,
        seconds={str(step): seconds for step, seconds in work.seconds.items()},
        batches=work.batches,
        transactions=work.transactions,
        produced=work.produced,
        aborts=work.aborts,
        rebalances=work.rebalances,
        forced={str(limit): count for limit, count in work.forced.items()},
    )


def changes_in(metrics: Iterable[MetricEvent]) -> dict[tuple[str, str, str], int]:
    """(model, signal, detector kind) → windows of the whole model in which the detector fired; never a revision."""
    found: Counter[tuple[str, str, str]] = Counter()
    for event in metrics:
        if (
            event.metric == MetricName.CHANGE_DETECTED
            and event.value == 1.0
            and event.revision == 0
            and not event.segment
            and not event.historical
            and isinstance(event.detector, DetectorRef)
        ):
            found[event.model_name, event.detector.signal, event.detector.kind] += 1
    return dict(found)
