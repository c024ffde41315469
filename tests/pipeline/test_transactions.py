"""A jump of event time is published in transactions of bounded size, and nobody can tell from what was published."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace

import pytest

from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent
from stream_monitor.pipeline.evaluate import EvaluateFold
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.partition import partition_of
from stream_monitor.pipeline.policy import Policies
from stream_monitor.windows.grid import WindowSpec
from tests.pipeline.test_exact_counts import policies, send_all, stream
from tests.pipeline.world import World, prediction

RULES = (
    RulePolicy("many", "predictions", above=9.0),
    RulePolicy("none", "predictions", below=1.0),
    RulePolicy("calm", "change_detected", below=0.5),
)
ROOM = 6_000
MODELS = ("m", "another")
MINUTE, TWO_MINUTES = WindowSpec(60_000, 60_000), WindowSpec(120_000, 120_000)


def told(**changes: object) -> Policies:
    chosen = replace(policies(rules=RULES), **changes)
    model = replace(chosen.models["m"], detectors=(DetectorPolicy("error", "page_hinkley"),), retire_after_ms=90_000)
    return replace(chosen, models={name: replace(model, name=name) for name in MODELS}, panes_partitions=1)


def folded(seed: int, n: int = 160) -> World:
    """Everything ingested, nothing evaluated. The stream pauses twice: then many windows are due at once."""
    rng = random.Random(seed)
    world = World(told(), partitions=2)
    predictions, labels = stream(rng, n)
    for events in (predictions, labels):
        for event in events:
            event["at"] += 400_000 * (event["at"] > 30_000) + 150_000 * (event["at"] > 60_000)
    send_all(world, predictions, labels)
    while any(world.positions[role, p] < len(world.logs[role][p]) for role, p in world.positions):
        world.clock += 1_000
        for p in range(world.partitions):
            world.ingest(p, PREDICTIONS, 40)
            world.ingest(p, LABELS, 40)
            world.flush(p)
    return world


def evaluated(
    source: World, room: int, rng: random.Random | None = None, *, aborts: float = 0.2, restarts: float = 0.2
) -> tuple[World, list[int]]:
    """One message, one tick of the clock or one part of a round a transaction; with `rng`, aborts and restarts.
    Returns the bytes of the figures in each."""
    world = World(told(transaction_bytes=room), partitions=2)
    world.panes, world.clock = source.panes, source.clock
    steps: list[tuple[bytes, int] | int | None] = []
    for place, message in enumerate(source.panes[0]):
        steps += [message] if place % 7 else [message, message[1] + 50_000]
    steps.append(None)
    done, sizes = 0, []
    while done < len(steps) or world.folds[0].is_behind:
        fold, began = world.folds[0], 0
        fold.go_on()
        if fold.is_ready and done < len(steps):
            _do(fold, steps, done)
            began = 1
        output = fold.drain()
        if rng is not None and rng.random() < aborts:
            world.crash_evaluate(0)
            continue
        done += began
        world.pane_positions[0] = sum(isinstance(step, tuple) for step in steps[:done])
        sizes.append(sum(len(event.encode()) for event in output.metrics if event.metric != "too_late"))
        world.publish(0, output)
        if rng is not None and rng.random() < restarts:
            world.crash_evaluate(0)
    return world, sizes


def without_clock(events: list[MetricEvent] | list[AlertEvent]) -> list[bytes]:
    """What was published, but when: a fold that ends its input after a restart knows a clock of the past."""
    return [re.sub(rb'"emitted_at":"[^"]*"', b"", event.encode()) for event in events]


def _do(fold: EvaluateFold, steps: list[tuple[bytes, int] | int | None], place: int) -> None:
    step = steps[place]
    if step is None:
        fold.finish()
    elif isinstance(step, int):
        fold.tick(step)
    else:
        fold.apply(step[0], sum(isinstance(each, tuple) for each in steps[:place]), step[1])


@pytest.mark.parametrize("seed", range(2))
def test_many_small_transactions_publish_what_one_large_one_does_also_across_kills(seed: int) -> None:
    source = folded(seed)
    whole, large = evaluated(source, 1 << 30)
    split, small = evaluated(source, ROOM)
    killed, _ = evaluated(source, ROOM, random.Random(seed))
    most_of_a_series = 8_000  # by which a transaction may be larger
    assert max(large) > 5 * ROOM
    assert max(small) <= ROOM + most_of_a_series
    assert len(small) > len(large) + 10
    for other in (split, killed):
        assert without_clock(other.metrics) == without_clock(whole.metrics)
        # Those of one window that end together do so in the order in which they were restored.
        assert sorted(without_clock(other.alerts)) == sorted(without_clock(whole.alerts))
        assert other.state[0].keys() == whole.state[0].keys()
    assert {alert.labels["alertname"] for alert in whole.alerts} == {rule.name for rule in RULES}
    assert any(event.metric == "change_detected" for event in whole.metrics)
    assert any(event.revision for event in whole.metrics)


def test_a_restart_between_any_two_series_of_a_window_changes_neither_figures_nor_alerts() -> None:
    source = folded(2, 90)
    whole, _ = evaluated(source, 1 << 30)
    restarted, sizes = evaluated(source, 1, random.Random(0), aborts=0, restarts=1)
    assert len(sizes) > 300
    assert without_clock(restarted.metrics) == without_clock(whole.metrics)
    assert sorted(without_clock(restarted.alerts)) == sorted(without_clock(whole.alerts))
    assert any(alert.labels["alertname"] == "calm" for alert in whole.alerts)


def test_a_message_that_comes_while_a_round_is_under_way_finds_it_ended() -> None:
    source = folded(0)
    world = World(told(transaction_bytes=ROOM), partitions=2)
    metrics = []
    for offset, (value, record_ms) in enumerate(source.panes[0]):
        world.folds[0].apply(value, offset, record_ms)
    world.folds[0].finish()
    while not world.folds[0].is_ready:
        metrics += list(world.folds[0].drain().metrics)
        world.folds[0].go_on()
    metrics += list(world.folds[0].drain().metrics)
    whole, _ = evaluated(source, 1 << 30)
    assert len({event.id for event in metrics}) == len(metrics)
    published = {event.id for event in whole.metrics if event.metric != "too_late" and event.revision == 0}
    assert {event.id for event in metrics if event.metric != "too_late" and event.revision == 0} == published


def go_on(world: World) -> None:
    """The rest of the round under way."""
    while world.folds[0].is_behind:
        world.folds[0].go_on()
        world.publish(0, world.folds[0].drain())


def test_a_window_size_that_leaves_the_config_and_comes_back_amid_one_round_begins_anew() -> None:
    """While every source is idle and no watermark is known the state says of no size up to where it closed."""
    plain = policies(transaction_bytes=1)
    model = replace(plain.models["m"], join=None, segments=())
    both = replace(plain, models={"m": replace(model, windows=(MINUTE, TWO_MINUTES))}, panes_partitions=1)
    one = replace(both, models={"m": replace(model, windows=(MINUTE,))})
    world = World(both, partitions=2)
    ids = [id_ for id_ in (f"p{i}" for i in range(100)) if partition_of(id_, 2) == 0][:12]
    for i, id_ in enumerate(ids):
        world.send(PREDICTIONS, id_, prediction(id_, 30 * i))
    world.ingest(0, PREDICTIONS, 100)
    world.flush(0)
    world.evaluate(0, 100)
    world.clock = 500_000
    for partition in range(2):
        world.flush(partition)
    world.evaluate(0, 100)
    go_on(world)
    world.folds[0].tick(world.clock)
    for world.policies in (one, both):
        assert world.folds[0].is_behind
        world.publish(0, world.folds[0].drain())
        world.crash_evaluate(0)
        world.folds[0].go_on()
    go_on(world)
    world.run_out()
    counts = Counter(each.window.size_seconds for each in world.metrics if each.metric == "predictions" and each.value)
    assert counts == {60: 6, 120: 3}
    assert len({each.id for each in world.metrics}) == len(world.metrics)
