"""What comes late but not too late: the newest figures must not depend on when it came."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from stream_monitor.join.policy import JoinPolicy
from stream_monitor.pipeline.backtest import backtest
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.windows.grid import WindowSpec
from tests.acceptance.published import newest
from tests.pipeline.world import DECODE, World, counted, expected_counts, label, prediction


def test_labels_pending_counts_predictions_that_came_after_the_close() -> None:
    """1,000 s of predictions, a label each 20 s later; one unlabelled straggler of second 100 comes at second 400."""
    predictions = [prediction(f"p{i}", i, score=0.5) for i in range(400)]
    predictions.append(prediction("straggler", 100, score=0.5))
    predictions += [prediction(f"p{i}", i, score=0.5) for i in range(400, 1_000)]
    labels = [label(f"p{i}", i + 20, label="1") for i in range(1_000)]

    def pending(chunk: int) -> dict[str, Any]:
        steps = backtest(policies(), DECODE, {}, predictions, labels, chunk=chunk)
        events = [event for step in steps for event in _documents(step.output.metrics)]
        assert not [event for event in events if event["metric"] == "too_late"]
        figures = newest(events).values()
        return {e["window"]["start"]: e["value"] for e in figures if e["metric"] == "labels_pending"}

    assert pending(chunk=10) == pending(chunk=10_000)


def policies() -> Policies:
    model = ModelPolicy(
        name="m",
        reference=ReferencePolicy(kind="none"),
        windows=(WindowSpec(60_000, 60_000),),
        max_out_of_order_ms=1_000,
        allowed_lateness_ms=3_600_000,
        join=JoinPolicy(7_200_000, 0),
    )
    return Policies(models={"m": model}, panes_partitions=1, live_horizon_ms=None)


def _documents(metrics: list[Any]) -> list[dict[str, Any]]:
    return [json.loads(event.encode()) for event in metrics]


def test_a_first_pane_that_is_late_for_its_small_windows_is_counted_in_each_window_once() -> None:
    """The watermark stands, yet no window has closed when an event comes that only the large windows still take."""
    for first, late in ((1_800_000, 5_000), (1_800_000, 1_500_000)):
        world = World(small_and_large(), partitions=1)
        moments = [first, late, first + 70_000]
        for i, at in enumerate(moments):
            world.send(PREDICTIONS, f"p{i}", prediction(f"p{i}", at / 1_000))
            world.ingest(0, PREDICTIONS, 1)
            world.flush(0)
            world.evaluate(0, 100)
        too_late = [event for event in world.metrics if event.metric == "too_late"]
        assert 60 in {event.window.size_seconds for event in too_late}
        world.run_out()
        expected = expected_counts([("m", "1", {}, at) for at in moments], world.policies)
        assert counted(world.metrics, "predictions", "prediction") == expected


def test_first_labels_that_are_late_for_their_small_windows_are_counted_in_each_window_once() -> None:
    """Labels that come in one go hours later: the watermark went on without the idle partition."""
    told = small_and_large(join=JoinPolicy(7_200_000, 0))
    world = World(told, partitions=1)
    for step in range(40):
        world.clock += 30_000
        world.send(PREDICTIONS, f"p{step}", prediction(f"p{step}", step * 30))
        world.ingest(0, PREDICTIONS, 10)
        world.flush(0)
        world.evaluate(0, 100)
    for step in range(40):
        world.send(LABELS, f"p{step}", label(f"p{step}", step * 30 + 1, label="1"))
    world.ingest(0, LABELS, 100)
    world.flush(0)
    world.evaluate(0, 100)
    assert any(event.metric == "too_late" for event in world.metrics)
    world.run_out()
    expected = expected_counts([("m", "1", {}, (step * 30 + 1) * 1_000) for step in range(40)], world.policies)
    assert counted(world.metrics, "labels_joined", "label") == expected


def small_and_large(**changes: Any) -> Policies:
    windows = (WindowSpec(60_000, 60_000), WindowSpec(3_600_000, 60_000))
    model = replace(policies().models["m"], windows=windows, allowed_lateness_ms=120_000, join=None)
    model = replace(model, **{"max_out_of_order_ms": 0} | changes)
    return Policies(models={"m": model}, panes_partitions=1, live_horizon_ms=None)
