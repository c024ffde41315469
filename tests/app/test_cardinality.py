"""A flood of versions, tag values and models through ingest, evaluate and the board: a scrape stays small."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from stream_monitor.app.publishing import EvaluatePublisher, IngestPublisher
from stream_monitor.export import names
from stream_monitor.export.board import Board
from stream_monitor.export.policy import ExportPolicy
from stream_monitor.export.totals import OVERFLOW
from stream_monitor.kafka.evaluate import EvaluateCommit
from stream_monitor.kafka.ingest import IngestCommit
from stream_monitor.kafka.snapshot import LoopSnapshot
from stream_monitor.kafka.stage import TP
from stream_monitor.pipeline.horizon import Span
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from tests.pipeline.test_time import T0, policies
from tests.pipeline.world import World, prediction

ROUNDS, EVENTS = 4, 150
EXPORTED, COUNTED = 40, 100
_FIGURES = {
    each.name
    for each in (
        names.WINDOW_END,
        names.WINDOW_SAMPLES,
        names.MODEL_PERFORMANCE,
        names.DRIFT_SCORE,
        names.DRIFT_RATIO,
        names.FEATURE_MISSING,
    )
}


def test_a_flood_leaves_a_scrape_small_and_what_is_left_out_is_counted() -> None:
    chosen = replace(policies(), max_models=5, max_series=30, max_versions=10, live_horizon_ms=None)
    model = replace(chosen.models["m"], segments=(("country",),))
    world = World(replace(chosen, models={"m": model}, unlisted=replace(model, name="")), partitions=1)
    board = Board(ExportPolicy(segments=None, versions=100, max_series=EXPORTED, max_counter_labels=COUNTED))
    evaluating = EvaluatePublisher(board, world.policies, {})
    ingesting = IngestPublisher(board, {PREDICTIONS: "predictions", LABELS: "labels"})
    sent = 0
    for number in range(ROUNDS):
        for i in range(EVENTS):
            name = "m" if i % 2 else f"m{number}-{i % 20}"
            tags = {"country": f"C{number}-{i}"}
            value = prediction(str(sent), T0 / 1000 + number * 70, model=name, version=f"{sent}", tags=tags, score=0.5)
            world.logs[PREDICTIONS][0].append(value)
            sent += 1
        world.clock = T0 + number * 1_000
        world.ingest(0, PREDICTIONS, EVENTS)
        flush = world.worker(0).flush(world.clock, _spans(number), {PREDICTIONS: 1, LABELS: 1})
        world.worker(0).committed()
        ingesting.on_commit(IngestCommit(flush.counters, (), None))
        for message in flush.messages:
            world.folds[0].apply(message.value, world.pane_positions[0], world.clock)
            world.pane_positions[0] += 1
        world.positions[PREDICTIONS, 0] += EVENTS
        world.crash_worker(0)  # so that it lets as many models pass again
        output = world.folds[0].drain()
        evaluating.on_commit(EvaluateCommit(0, output, world.folds[0].active_alerts()))
        evaluating.on_snapshot(LoopSnapshot(positions={TP("panes", 0): number + 1}, commits=number + 1))

    gauges = board.snapshot().gauges(board.clock())
    figures = Counter(labels[0] for name, labels in gauges if name in _FIGURES)
    assert figures["m"] == EXPORTED, "the flood has reached the limit"
    assert len(figures) <= 6
    assert max(figures.values()) == EXPORTED
    info = [labels for name, labels in gauges if name == names.MODEL_INFO.name]
    assert len(info) == 6, "the listed model, and five that registered themselves"
    counters = board.snapshot().counters
    predicted = counters(names.PREDICTIONS)
    assert len(predicted) == COUNTED + 1
    assert predicted[OVERFLOW, OVERFLOW] == sum(predicted.values()) - COUNTED
    assert sum(predicted.values()) + counters(names.EVENTS_REJECTED)["predictions", "model_limit"] == sent
    limited = counters(names.SERIES_LIMITED)
    assert {limit for _, limit in limited} == {"series", "versions", "models", "export"}
    assert all(count > 0 for count in limited.values())
    assert limited["__other__", "models"] > 0
    assert len(limited) <= 3 * 6 + 1


def _spans(number: int) -> dict[tuple[str, int], Span]:
    return {
        (PREDICTIONS, 0): Span(number * EVENTS, (number + 1) * EVENTS, True),
        (LABELS, 0): Span(0, 0, True),
    }
