"""What a stage committed shows on the board: totals become increments, quiet partitions stay, lost ones vanish."""

from dataclasses import dataclass, field, replace

from structlog.testing import capture_logs

from stream_monitor.app.publishing import EvaluatePublisher, IngestPublisher, RepartitionPublisher, changes_in
from stream_monitor.events.metric import DetectorRef, MetricEvent, window_ref
from stream_monitor.events.names import Status, TimeBasis
from stream_monitor.export.board import Board
from stream_monitor.export.names import (
    DEAD_LETTERS_LEFT_OUT,
    EVENTS_CONSUMED,
    EVENTS_REJECTED,
    FORCED_FLUSHES,
    LOOP_BATCH,
    LOOP_SECONDS,
    MESSAGES_PRODUCED,
    REBALANCES,
    SERIES_LIMITED,
    TRANSACTION,
    TRANSACTIONS_ABORTED,
)
from stream_monitor.kafka.evaluate import EvaluateCommit
from stream_monitor.kafka.ingest import IngestCommit
from stream_monitor.kafka.pace import Forced
from stream_monitor.kafka.snapshot import LoopSnapshot, Work
from stream_monitor.kafka.stage import TP
from stream_monitor.kafka.steps import Step
from stream_monitor.pipeline.evaluate import EvaluateOutput, EvaluateSummary
from stream_monitor.pipeline.ingest import IngestCounters
from stream_monitor.pipeline.metric_events import MetricEvents
from stream_monitor.pipeline.policy import ModelPolicy, Policies
from stream_monitor.pipeline.repartition import RepartitionCounters

PANES = TP("panes", 0)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def metric(**changes: object) -> MetricEvent:
    fields: dict[str, object] = {
        "id": "x",
        "metric": "change_detected",
        "model_name": "m",
        "model_version": "1",
        "window": window_ref(0, 60_000, 60_000, TimeBasis.LABEL),
        "status": Status.OK,
        "value": 1.0,
        "n": 50,
        "detector": DetectorRef("adwin", "error"),
        "emitted_at": "2026-01-01T00:00:00.000Z",
        **changes,
    }
    return MetricEvent(**fields)  # type: ignore[arg-type]


def commit(*metrics: MetricEvent, limited: int = 0, partition: int = 0) -> EvaluateCommit:
    summary = EvaluateSummary({("m", "label"): 60_000}, ("m",), {("m", "series"): limited}, 0)
    return EvaluateCommit(partition, EvaluateOutput(MetricEvents(others=metrics), [], [], [], summary), {})


@dataclass
class Evaluating:
    clock: Clock = field(default_factory=Clock)
    models: dict[str, ModelPolicy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.board = Board(clock=self.clock)
        self.publisher = EvaluatePublisher(self.board, Policies(self.models), {})
        self.commits = 0

    def flush(self, *commits: EvaluateCommit) -> None:
        for each in commits:
            self.publisher.on_commit(each)
        self.commits += 1
        self.publisher.on_snapshot(LoopSnapshot(positions={PANES: 1}, lag={PANES: 7}, commits=self.commits))

    def gauges(self) -> set[str]:
        return {name for name, _ in self.board.snapshot().gauges(self.clock.now)}


def test_nothing_is_shown_before_the_first_commit_and_an_assignment_is_none() -> None:
    evaluating = Evaluating()
    evaluating.publisher.on_snapshot(LoopSnapshot(positions={PANES: 1}))
    assert not evaluating.publisher.committed
    assert not evaluating.gauges()
    evaluating.flush(commit())
    assert evaluating.publisher.committed
    assert "streammonitor_model_info" in evaluating.gauges()


def test_a_partition_without_news_stays_as_long_as_its_loop_commits() -> None:
    evaluating = Evaluating()
    evaluating.flush(commit())
    for _ in range(10):
        evaluating.clock.now += 30.0
        evaluating.flush()
    assert "streammonitor_model_info" in evaluating.gauges()
    evaluating.clock.now += 60.0
    assert not evaluating.gauges()


def test_a_revoked_partition_vanishes_at_once() -> None:
    evaluating = Evaluating()
    evaluating.flush(commit())
    evaluating.publisher.on_revoked([0])
    assert not evaluating.gauges()


def test_it_is_not_ready_while_a_partition_waits_for_a_profile() -> None:
    world = Evaluating()
    held = commit(partition=1)
    summary = replace(held.output.summary, held=("m",))
    held = replace(held, output=held.output._replace(summary=summary))
    for waits, commits in ((False, [commit()]), (True, [held]), (True, [commit()]), (False, [commit(partition=1)])):
        for each in commits:
            world.publisher.on_commit(each)
        assert world.publisher.knows_schemas is not waits
    world.publisher.on_commit(held)
    world.publisher.on_revoked([1])
    assert world.publisher.knows_schemas


def test_limited_series_are_counted_from_when_the_board_looks() -> None:
    evaluating = Evaluating()
    for total in (5, 5, 8, 9):  # the fold's totals, the first of them restored
        evaluating.flush(commit(limited=total))
    assert evaluating.board.snapshot().counters(SERIES_LIMITED) == {("m", "series"): 4}


def test_a_change_counts_once_for_the_whole_model() -> None:
    events = [
        metric(),
        metric(revision=1),
        metric(value=0.0),
        metric(segment={"country": "DE"}),
        metric(historical=True),
        metric(metric="psi"),
        metric(detector=DetectorRef("page_hinkley", "error")),
    ]
    assert changes_in(events) == {("m", "error", "adwin"): 1, ("m", "error", "page_hinkley"): 1}


def test_ingest_counts_by_topic() -> None:
    board = Board(clock=Clock())
    publisher = IngestPublisher(board, {"predictions": "p.topic", "labels": "l.topic"})
    counters = IngestCounters()
    counters.consumed["predictions"] = 3
    counters.rejected["labels", "empty"] = 1
    for _ in range(2):
        publisher.on_commit(IngestCommit(counters, (0.1,), 4))
    snapshot = board.snapshot()
    assert snapshot.counters(EVENTS_CONSUMED) == {("p.topic",): 6}
    assert snapshot.counters(EVENTS_REJECTED) == {("l.topic", "empty"): 2}


def test_repartition_counts_by_topic_also_what_has_no_dead_letter() -> None:
    board = Board(clock=Clock())
    publisher = RepartitionPublisher(board, {"predictions": "p.topic", "labels": "l.topic"})
    counters = RepartitionCounters()
    counters.consumed["predictions"] = 3
    counters.rejected["labels", "empty"] = 2
    counters.left_out["labels", "empty"] = 1
    for _ in range(2):
        publisher.on_commit(counters)
    snapshot = board.snapshot()
    assert snapshot.counters(EVENTS_CONSUMED) == {("p.topic",): 6}
    assert snapshot.counters(EVENTS_REJECTED) == {("l.topic", "empty"): 4}
    assert snapshot.counters(DEAD_LETTERS_LEFT_OUT) == {("l.topic", "empty"): 2}


def test_what_both_loops_did_adds_up_by_role_commit_or_not() -> None:
    evaluating = Evaluating()
    board = evaluating.board
    ingest = IngestPublisher(board, {})
    work = Work({Step.DRAIN: 0.5, Step.WAIT: 2.0}, [5_000, 20], [0.004, 0.3], {"panes": 3}, 1, 1, {Forced.MEMORY: 2})
    for _ in range(2):
        ingest.on_snapshot(LoopSnapshot(commits=1, work=work))
    evaluating.publisher.on_snapshot(LoopSnapshot(work=work))  # of an assignment
    snapshot = board.snapshot()
    assert snapshot.counters(LOOP_SECONDS) == {
        ("ingest", "drain"): 1.0,
        ("ingest", "wait"): 4.0,
        ("evaluate", "drain"): 0.5,
        ("evaluate", "wait"): 2.0,
    }
    assert snapshot.counters(MESSAGES_PRODUCED) == {("ingest", "panes"): 6, ("evaluate", "panes"): 3}
    assert snapshot.counters(TRANSACTIONS_ABORTED) == {("ingest",): 2, ("evaluate",): 1}
    assert snapshot.counters(FORCED_FLUSHES) == {("ingest", "memory"): 4, ("evaluate", "memory"): 2}
    assert snapshot.counters(REBALANCES) == {("ingest",): 2, ("evaluate",): 1}
    assert (snapshot.histograms(LOOP_BATCH)["ingest",].total, snapshot.histograms(TRANSACTION)["ingest",].total) == (
        10_040,
        0.608,
    )


def test_a_model_that_registered_itself_is_named_in_the_log_once() -> None:
    with capture_logs() as lines:
        for models in ({}, {"m": ModelPolicy("m")}):
            evaluating = Evaluating(models=models)
            evaluating.flush(commit())
            evaluating.flush(commit())
    assert [(line["event"], line["model"]) for line in lines] == [
        ("a model registered itself, without a reference", "m")
    ]
