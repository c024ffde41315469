"""The board: whole commits, growing counters, and silence of those who no longer own a model."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.export import names
from stream_monitor.export.board import Board
from stream_monitor.export.commits import (
    EvaluateCommitted,
    FiringAlert,
    HistogramIncrement,
    IngestCommitted,
    ModelInfo,
)
from stream_monitor.export.policy import ExportPolicy
from stream_monitor.export.totals import OVERFLOW, Totals
from stream_monitor.pipeline.latency import BOUNDS_SECONDS, LatencyCounts
from tests.export.events import alert, metric


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def gauges(board: Board, family: names.Family) -> dict[tuple[str, ...], float]:
    found = board.snapshot().gauges(board.clock())
    return {labels: value for (name, labels), value in found.items() if name == family.name}


CREDIT = ModelInfo("credit", "binary", "training", "abc")


def owned(partition: int = 0, at: float = 100.0, **more: object) -> EvaluateCommitted:
    more.setdefault("metrics", [metric("psi", 0.3), metric("predictions", 10.0)])
    more.setdefault("models", [CREDIT])
    return EvaluateCommitted(partition, at, watermarks_ms={("credit", "prediction"): 5_500}, **more)  # type: ignore[arg-type]


def test_a_revoked_partition_takes_all_its_gauges_with_it_and_no_counter() -> None:
    board = Board(clock=Clock())
    board.publish_evaluate(owned(changes={("credit", "error", "adwin"): 1}, lag={("panes", 0): 3}))
    before = board.snapshot()
    board.drop_partition(0)
    assert board.snapshot().gauges(100.0) == {}
    assert board.snapshot().counters(names.CHANGES_DETECTED) == {("credit", "error", "adwin"): 1}
    assert len(before.gauges(100.0)) > 5, "a snapshot taken before stays what it was"


def test_a_partition_whose_last_commit_is_too_old_is_silent_until_it_commits_again() -> None:
    clock = Clock()
    board = Board(ExportPolicy(session_timeout_s=45), clock=clock)
    board.publish_evaluate(owned(0))
    board.publish_evaluate(owned(1, at=130.0, metrics=[metric("psi", 0.1, model="churn")], models=[ModelInfo("churn")]))
    clock.now = 145.0
    assert {labels[0] for labels in gauges(board, names.DRIFT_SCORE)} == {"credit", "churn"}
    clock.now = 146.0
    assert {labels[0] for labels in gauges(board, names.DRIFT_SCORE)} == {"churn"}
    board.publish_evaluate(EvaluateCommitted(0, 146.0))
    assert {labels[0] for labels in gauges(board, names.DRIFT_SCORE)} == {"credit", "churn"}


def test_a_model_that_is_no_longer_owned_vanishes_with_its_watermark_and_alerts() -> None:
    board = Board(clock=Clock())
    board.publish_evaluate(owned(alerts=[alert()]))
    assert gauges(board, names.MODEL_INFO) == {("credit", "binary", "training", "abc"): 1.0}
    board.publish_evaluate(EvaluateCommitted(0, 100.0, models=[]))
    assert board.snapshot().gauges(100.0) == {}


def test_watermarks_are_in_seconds_and_stay_when_a_commit_does_not_name_them() -> None:
    board = Board(clock=Clock())
    board.publish_evaluate(owned())
    board.publish_evaluate(EvaluateCommitted(0, 101.0, watermarks_ms={("credit", "label"): 4_000}))
    assert gauges(board, names.WATERMARK) == {("credit", "prediction"): 5.5, ("credit", "label"): 4.0}


def test_an_alert_is_active_while_any_of_its_series_fires() -> None:
    board = Board(clock=Clock())
    key = ("credit", "input-drift", "warning")
    steps = [
        (alert("pending", fingerprint="a"), 0.0),
        (alert("firing", fingerprint="a"), 1.0),
        (alert("firing", fingerprint="b"), 1.0),
        (alert("resolved", fingerprint="a"), 1.0),
        (alert("resolved", fingerprint="b"), 0.0),
    ]
    for event, expected in steps:
        board.publish_evaluate(EvaluateCommitted(0, 100.0, alerts=[event]))
        assert gauges(board, names.ALERT_ACTIVE) == {key: expected}


def test_historical_alerts_are_not_active() -> None:
    board = Board(clock=Clock())
    board.publish_evaluate(EvaluateCommitted(0, 100.0, alerts=[alert(historical=True)]))
    assert gauges(board, names.ALERT_ACTIVE) == {}


def test_after_a_restore_the_stage_says_what_fires_and_what_it_leaves_out_has_resolved() -> None:
    board = Board(clock=Clock())
    firing = FiringAlert("credit", "input-drift", "warning", "a")
    board.publish_evaluate(EvaluateCommitted(0, 100.0, firing=[firing]))
    assert gauges(board, names.ALERT_ACTIVE) == {("credit", "input-drift", "warning"): 1.0}
    board.publish_evaluate(EvaluateCommitted(0, 100.0, firing=[]))
    assert gauges(board, names.ALERT_ACTIVE) == {("credit", "input-drift", "warning"): 0.0}


def test_lag_and_what_is_held_are_those_of_the_last_commits_of_living_workers() -> None:
    clock = Clock()
    board = Board(clock=clock)
    board.publish_ingest(
        IngestCommitted(100.0, "a", lag={("predictions", 0): 7, ("predictions", 1): 8}, join_entries=5, join_bytes=50)
    )
    board.publish_ingest(
        IngestCommitted(100.0, "b", lag={("predictions", 2): 1}, join_entries=6, join_bytes=60, held_bytes=3)
    )
    board.publish_ingest(
        IngestCommitted(101.0, "a", lag={("predictions", 0): 0}, join_entries=4, join_bytes=40, held_bytes=2)
    )
    assert gauges(board, names.CONSUMER_LAG) == {("predictions", "0"): 0.0, ("predictions", "2"): 1.0}
    held = (names.JOIN_STATE_ENTRIES, names.JOIN_STATE_BYTES, names.UNFLUSHED_BYTES)
    assert [gauges(board, family)[()] for family in held] == [10.0, 100.0, 5.0]
    board.publish_ingest(IngestCommitted(101.5, "b", join_entries=6, join_bytes=60, held_bytes=3, join_evicted=9))
    assert board.snapshot().counters(names.JOIN_EVICTED) == {(): 9.0}
    board.drop_worker("b")
    assert [gauges(board, family)[()] for family in held] == [4.0, 40.0, 2.0]


def test_ingest_counts_add_up() -> None:
    board = Board(clock=Clock())
    for _ in range(3):
        board.publish_ingest(
            IngestCommitted(
                100.0,
                consumed={"predictions": 10, "labels": 4},
                rejected={("predictions", "malformed_json"): 1},
                predictions={("credit", "7"): 9},
                joined={("credit", "joined"): 2},
                processing_seconds=[0.2, 40.0],
                latency={"credit": HistogramIncrement.of([0.001, 0.002], BOUNDS_SECONDS)},
                label_delay={"credit": HistogramIncrement.of([-5.0, 60.0], BOUNDS_SECONDS)},
            )
        )
    snapshot = board.snapshot()
    assert snapshot.counters(names.EVENTS_CONSUMED) == {("predictions",): 30, ("labels",): 12}
    assert snapshot.counters(names.EVENTS_REJECTED) == {("predictions", "malformed_json"): 3}
    assert snapshot.counters(names.PREDICTIONS) == {("credit", "7"): 27}
    assert snapshot.counters(names.LABELS_JOINED) == {("credit", "joined"): 6}
    assert snapshot.histograms(names.EVENT_PROCESSING)[()].counts[-1] == 3
    assert snapshot.histograms(names.LABEL_DELAY)["credit",].total == 180.0
    assert snapshot.histograms(names.PREDICTION_LATENCY)["credit",].counts[:2] == (3, 3)


def test_series_limits_of_the_stage_and_of_the_export_are_told_apart() -> None:
    board = Board(ExportPolicy(max_series=2), clock=Clock())
    board.publish_evaluate(owned(limited={("credit", "series"): 4}))
    assert board.snapshot().counters(names.SERIES_LIMITED) == {("credit", "series"): 4, ("credit", "export"): 2}


def test_label_sets_beyond_the_limit_count_under_other_and_nothing_is_lost() -> None:
    totals = Totals(limit=2)
    for version in ("1", "2", "3", "4", "1"):
        totals = totals.count(names.PREDICTIONS, {("credit", version): 5})
    assert totals.counters[names.PREDICTIONS.name] == {
        ("credit", "1"): 10,
        ("credit", "2"): 5,
        (OVERFLOW, OVERFLOW): 10,
    }


def test_a_counter_refuses_to_go_back_and_labels_that_are_not_its_own() -> None:
    with pytest.raises(ValueError, match="must only grow"):
        Totals(10).count(names.EVENTS_CONSUMED, {("predictions",): -1})
    with pytest.raises(ValueError, match="has labels"):
        Totals(10).count(names.EVENTS_CONSUMED, {("predictions", "x"): 1})
    with pytest.raises(ValueError, match="only grows"):
        HistogramIncrement((1,), -1.0)


@given(st.lists(st.floats(-10, 1e6), max_size=30))
def test_an_increment_equals_a_count_by_hand(values: list[float]) -> None:
    found = HistogramIncrement.of(values, BOUNDS_SECONDS)
    slow = [0] * (len(BOUNDS_SECONDS) + 1)
    for value in values:
        slow[sum(1 for bound in BOUNDS_SECONDS if bound < value)] += 1
    assert list(found.counts) == slow
    assert found.total == pytest.approx(sum(max(value, 0.0) for value in values))


def test_what_ingest_counted_is_taken_as_it_is_but_for_a_negative_sum() -> None:
    counts = LatencyCounts()
    counts.add(np.array([-3.0, 0.5]))
    assert HistogramIncrement.counted(counts) == HistogramIncrement(tuple(counts.counts.tolist()), 0.0)


def test_commits_from_many_threads_are_all_counted() -> None:
    board = Board(clock=Clock())

    def commit(worker: str) -> None:
        for _ in range(200):
            board.publish_ingest(IngestCommitted(100.0, worker, consumed={"predictions": 1}))
            board.count_reaction("log", "done")

    threads = [threading.Thread(target=commit, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert board.snapshot().counters(names.EVENTS_CONSUMED) == {("predictions",): 800}
    assert board.snapshot().counters(names.REACTIONS) == {("log", "done"): 800}
