"""Joined, expired, pending and orphaned labels per window, against a look at all events at once."""

from __future__ import annotations

import random

import pytest

from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.events.times import parse_timestamp
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.windows.grid import WindowSpec
from tests.pipeline.world import World, label, newest, prediction

JOIN_MS = 60_000
PANE_MS = 10_000


def policies() -> Policies:
    model = ModelPolicy(
        name="m",
        outcome=OutcomePolicy(task=Task.BINARY, positive_class="1"),
        reference=ReferencePolicy(kind="none"),
        windows=(WindowSpec(PANE_MS, PANE_MS), WindowSpec(30_000, PANE_MS)),
        max_out_of_order_ms=0,
        allowed_lateness_ms=10**9,
        join=JoinPolicy(JOIN_MS, 0),
    )
    return Policies(models={"m": model}, panes_partitions=1, live_horizon_ms=None, idle_timeout_ms=10**9)


@pytest.mark.parametrize("seed", range(4))
def test_label_counts_equal_the_recount(seed: int) -> None:
    rng = random.Random(seed)
    sent, labelled, orphans = [], {}, []
    for i in range(300):
        at = i * 1_000 + rng.randrange(500)
        sent.append((f"p{i}", at))
        if rng.random() < 0.6:
            labelled[f"p{i}"] = at + rng.choice([100, 5_000, JOIN_MS, JOIN_MS + 1_000])
        if rng.random() < 0.05:
            orphans.append((f"o{i}", at))
    world = World(policies(), partitions=2)
    for id_, at in sent:
        world.send(PREDICTIONS, id_, prediction(id_, at / 1000, score=0.7))
    for id_, at in sorted([*labelled.items(), *orphans], key=lambda one: one[1]):
        world.send(LABELS, id_, label(id_, at / 1000, label="1"))
    for _ in range(60):
        world.clock += 1_000
        for p in range(2):
            world.ingest(p, PREDICTIONS, rng.randrange(20))
            world.ingest(p, LABELS, rng.randrange(20))
            world.flush(p)
        world.evaluate(0, 100)
    world.run_out()

    joined = {id_: at for id_, at in labelled.items() if at - dict(sent)[id_] <= JOIN_MS}
    waiting = [at for id_, at in labelled.items() if id_ not in joined] + [at for _, at in orphans]
    deadlines = {id_: -(-(at + JOIN_MS) // PANE_MS) * PANE_MS for id_, at in sent}
    seen = 0
    for event in newest(world.metrics).values():
        if not event.metric.startswith("labels_"):
            continue
        start, end = parse_timestamp(event.window.start), parse_timestamp(event.window.end)
        value = {
            "labels_joined": sum(start <= at < end for at in joined.values()),
            "labels_orphaned": sum(start <= at < end for at in waiting),
            "labels_expired": sum(start <= d < end for id_, d in deadlines.items() if id_ not in joined),
            # A prediction waits from its pane on, until its label's pane or its deadline.
            "labels_pending": sum(at - at % PANE_MS < end for _, at in sent)
            - sum(at < end for at in joined.values())
            - sum(d < end for id_, d in deadlines.items() if id_ not in joined),
        }[event.metric]
        assert event.value == value, (event.metric, event.window.start, event.window.size_seconds)
        seen += 1
    assert seen > 100


def test_labels_that_never_come_are_published_as_expired() -> None:
    world = World(policies(), partitions=1)
    for i in range(20):
        world.send(PREDICTIONS, f"p{i}", prediction(f"p{i}", i * 10, score=0.7))
    world.run_out()
    expired = [e for e in world.metrics if e.metric == "labels_expired" and e.window.size_seconds == 10]
    assert [e.value for e in expired[:5]] == [1.0] * 5
    assert parse_timestamp(expired[0].window.start) == JOIN_MS
