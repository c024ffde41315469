"""What comes late but not too late: the newest figures must not depend on when it came."""

from __future__ import annotations

import json
from typing import Any

from stream_monitor.join.policy import JoinPolicy
from stream_monitor.pipeline.backtest import backtest
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.windows.grid import WindowSpec
from tests.acceptance.published import newest
from tests.pipeline.world import DECODE, label, prediction


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
