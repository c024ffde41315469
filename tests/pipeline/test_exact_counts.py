"""Whatever the batches, workers, disorder, duplicates, aborts and crashes: published + too late = recount."""

from __future__ import annotations

import random

import pytest

from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.windows.grid import WindowSpec
from tests.pipeline.world import World, counted, expected_counts, first_of, label, prediction

JOIN_WINDOW_MS = 120_000


def policies(**changes: object) -> Policies:
    model = ModelPolicy(
        name="m",
        outcome=OutcomePolicy(task=Task.BINARY, positive_class="1"),
        reference=ReferencePolicy(kind="none"),
        windows=(WindowSpec(20_000, 20_000), WindowSpec(60_000, 20_000)),
        max_out_of_order_ms=2_000,
        allowed_lateness_ms=30_000,
        join=JoinPolicy(JOIN_WINDOW_MS, 0, slack_ms=600_000),
        segments=(("country",),),
    )
    return Policies(
        models={"m": model},
        panes_partitions=2,
        live_horizon_ms=None,
        revision_interval_ms=3_000,
        progress_timeout_ms=15_000,  # workers are played by turns, each seldom
        **changes,
    )


def stream(rng: random.Random, n: int) -> tuple[list[dict], list[dict]]:
    """Predictions and labels in the order in which they are sent: out of order, repeated, some very late."""
    predictions, labels = [], []
    for i in range(n):
        at = i * 400 + rng.randrange(3_000)
        if rng.random() < 0.06:
            at = max(0, at - rng.randrange(150_000))
        version = rng.choice(["1", "2"])
        tags = {} if rng.random() < 0.2 else {"country": rng.choice(["DE", "FR"])}
        event = {"id": f"p{i}", "at": at, "version": version, "tags": tags, "score": rng.random()}
        predictions.append(event)
        if rng.random() < 0.1:
            predictions.append({**event, "at": at + rng.randrange(5_000)})
        if rng.random() < 0.8:
            truth = str(int(rng.random() < 0.5))
            moment = at + rng.choice([0, 500, 5_000, 20_000, 150_000]) - rng.randrange(1_000)
            one = {"id": f"p{i}", "at": max(0, moment), "label": truth}
            labels.append(one)
            if rng.random() < 0.1:
                labels.append(one)
    labels.append({"id": "nobody", "at": 30_000, "label": "1"})
    labels.sort(key=lambda one: one["at"] + rng.randrange(6_000))
    return predictions, labels


def send_all(world: World, predictions: list[dict], labels: list[dict]) -> None:
    for e in predictions:
        value = prediction(e["id"], e["at"] / 1000, version=e["version"], tags=e["tags"], score=e["score"])
        world.send(PREDICTIONS, e["id"], value)
    for e in labels:
        world.send(LABELS, e["id"], label(e["id"], e["at"] / 1000, label=e["label"]))


def pairs_of(predictions: list[dict], labels: list[dict]) -> list[dict]:
    """Oracle of the join: each first prediction with its first label within the window."""
    by_id: dict[str, list[dict]] = {}
    for one in labels:
        by_id.setdefault(one["id"], []).append(one)
    pairs = []
    for p in first_of(predictions, "id", "version"):
        for one in by_id.get(p["id"], []):
            if abs(one["at"] - p["at"]) <= JOIN_WINDOW_MS:
                pairs.append({**p, "label_at": one["at"], "label": one["label"]})
                break
    return pairs


def play(world: World, rng: random.Random, *, crashes: bool) -> None:
    """Random interleaving of reading, flushing, evaluating, aborting and crashing."""
    for _ in range(400):
        world.clock += rng.randrange(2_000)
        p = rng.randrange(world.partitions)
        action = rng.random()
        if action < 0.55:
            world.ingest(p, rng.choice([PREDICTIONS, LABELS]), rng.randrange(1, 40))
        elif action < 0.8:
            world.flush(p, commit=not crashes or rng.random() < 0.8)
        elif action < 0.95:
            q = rng.randrange(len(world.panes))
            world.evaluate(q, rng.randrange(1, 8), commit=not crashes or rng.random() < 0.8)
        elif crashes:
            world.crash_worker(p)
            world.crash_evaluate(rng.randrange(len(world.panes)))
        if rng.random() < 0.02:
            for q in range(len(world.panes)):
                world.folds[q].tick(world.clock)
    world.run_out(step=rng.randrange(5, 100))


@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_every_window_counts_exactly(seed: int, crashes: bool) -> None:
    rng = random.Random(seed)
    predictions, labels = stream(rng, 600)
    world = World(policies(), partitions=3)
    send_all(world, predictions, labels)
    play(world, rng, crashes=crashes)

    firsts = first_of(predictions, "id", "version")
    events = [("m", p["version"], p["tags"], p["at"]) for p in firsts]
    assert counted(world.metrics, "predictions", "prediction") == expected_counts(events, world.policies)
    pairs = [("m", p["version"], p["tags"], p["label_at"]) for p in pairs_of(predictions, labels)]
    assert counted(world.metrics, "labels_joined", "label") == expected_counts(pairs, world.policies)
    ids = [event.id for event in world.metrics]
    assert len(ids) == len(set(ids)), "no metric id twice"
    assert any(event.metric == "too_late" for event in world.metrics), "the stream must have hit lateness"
    assert any(event.revision > 0 for event in world.metrics), "and corrections"


@pytest.mark.parametrize("seed", range(3))
def test_crashes_change_no_event_that_is_published(seed: int) -> None:
    """The same panes log, with and without crashes of evaluate, publishes the same events in the same order."""
    rng = random.Random(seed)
    predictions, labels = stream(rng, 400)
    calm = World(policies(), partitions=2)
    send_all(calm, predictions, labels)
    while any(calm.positions[role, p] < len(calm.logs[role][p]) for role, p in calm.positions):
        calm.clock += 1_000
        for p in range(2):
            calm.ingest(p, PREDICTIONS, 20)
            calm.ingest(p, LABELS, 20)
            calm.flush(p)
    stormy = World(policies(), partitions=2)
    stormy.panes = calm.panes
    for q in range(2):
        while calm.pane_positions[q] < len(calm.panes[q]):
            calm.evaluate(q, 5)
        while stormy.pane_positions[q] < len(stormy.panes[q]):
            stormy.evaluate(q, 5, commit=rng.random() < 0.6)
            if rng.random() < 0.3:
                stormy.crash_evaluate(q)
    assert [(e.id, e.encode()) for e in stormy.metrics] == [(e.id, e.encode()) for e in calm.metrics]
    assert [a.encode() for a in stormy.alerts] == [a.encode() for a in calm.alerts]


def test_gauges_have_their_figures_after_a_restart() -> None:
    rng = random.Random(1)
    world = World(policies(), partitions=1)
    send_all(world, *stream(rng, 200))
    world.run_out()
    shown = {event.id: event for q in range(2) for event in world.folds[q].newest_events()}
    assert shown
    newest_start = max(e.window.start for e in world.metrics if e.metric == "predictions" and not e.segment)
    assert newest_start in {event.window.start for event in shown.values()}
    for q in range(2):
        world.crash_evaluate(q)
    assert {event.id: event for q in range(2) for event in world.folds[q].newest_events()} == shown
