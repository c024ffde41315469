"""A small stream as honest producers send it, and both folds on it as they run live: record time is the clock.

Attackers only add events, or send some in the place of honest ones; what they cannot do is change the topics' past.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from stream_monitor.alerts.rule import DEFAULT_RULES, RulePolicy
from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.events.metric import MetricEvent
from stream_monitor.events.policy import DecodePolicy, OutcomePolicy, Task
from stream_monitor.events.times import format_timestamp
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.reference.build import build_profile
from stream_monitor.reference.profile import Profile
from stream_monitor.windows.grid import WindowSpec
from tests.pipeline.world import World, label, newest, prediction

START = 1_795_169_700  # seconds, at a window's start
WINDOW = 20  # seconds
WINDOWS = 6
RATE = 5  # predictions a second
SECONDS = WINDOW * WINDOWS
MS = 1_000


class Sent(NamedTuple):
    """One record: when it arrives (seconds), on which topic, under which key."""

    arrival: float
    role: str
    id: str
    value: bytes


class Drawn(NamedTuple):
    """What one prediction is about."""

    id: str
    at: float
    x: float
    c: str
    score: float
    truth: int


def drawn(n: int, seed: int = 1) -> list[Drawn]:
    rng = random.Random(seed)
    rows = []
    for i in range(n):
        x = rng.gauss(0, 1)
        score = 1 / (1 + math.exp(-2 * x))
        truth = int(score > 0.5) ^ (rng.random() < 0.1)
        rows.append(Drawn(f"p{i}", START + i / RATE, x, rng.choice("aabc"), score, truth))
    return rows


ROWS = drawn(SECONDS * RATE)


def predicted(row: Drawn, *, id_: str | None = None, at: float | None = None, **changed: Any) -> Sent:
    """The row's prediction, arriving when it is made."""
    answer = {key: changed.pop(key) for key in ("score", "label", "scores") if key in changed}
    fields: dict[str, Any] = {"features": {"x": row.x, "c": row.c}, "tags": {"country": "DE"}, "latency": 0.01}
    id_ = row.id if id_ is None else id_
    body = prediction(id_, row.at if at is None else at, **(fields | changed), **(answer or {"score": row.score}))
    return Sent(row.at, PREDICTIONS, id_, body)


def labelled(row: Drawn, *, truth: int | str | None = None, id_: str | None = None, after: float = 4.0) -> Sent:
    id_ = row.id if id_ is None else id_
    body = label(id_, row.at + after, label=row.truth if truth is None else truth)
    return Sent(row.at + after, LABELS, id_, body)


HONEST = (*map(predicted, ROWS), *map(labelled, ROWS))


@cache
def profile() -> Profile:
    rows = drawn(6_000, seed=2)
    return build_profile(
        model_name="m",
        task=Task.BINARY,
        positive_class="1",
        columns={"x": [row.x for row in rows], "c": [row.c for row in rows]},
        outputs=[row.score for row in rows],
        actuals=[str(row.truth) for row in rows],
        created_at=0,
    )


def policies(*, rules: tuple[RulePolicy, ...] = (), **changed: Any) -> Policies:
    """`changed`: of the model, or of all."""
    model = ModelPolicy(
        name="m",
        outcome=OutcomePolicy(Task.BINARY, "1"),
        reference=ReferencePolicy("profile"),
        windows=(WindowSpec(WINDOW * MS, WINDOW * MS),),
        max_out_of_order_ms=2_000,
        allowed_lateness_ms=120_000,
        join=JoinPolicy(600_000, 0),
        detectors=(DetectorPolicy(),),
    )
    of_model = {key: changed.pop(key) for key in list(changed) if hasattr(model, key)}
    all_ = Policies(
        models={"m": replace(model, **of_model)},
        rules=(*DEFAULT_RULES, *rules),
        target_false_alarms_per_day=10,
        panes_partitions=1,
        live_horizon_ms=None,
        revision_interval_ms=1_000,
    )
    return replace(all_, **changed)


def play(
    sent: Iterable[Sent], chosen: Policies | None = None, *, profiled: bool = True, partitions: int = 1, step: int = 4
) -> World:
    """Both folds live: a flush every `step` seconds of what had arrived by then. The inputs do not end."""
    chosen = policies() if chosen is None else chosen
    world = World(chosen, {"m": profile()} if profiled else {}, partitions=partitions, decode=DecodePolicy())
    waiting = sorted(sent, key=lambda each: each.arrival)
    at, now = 0, START
    while at < len(waiting) or now < START + SECONDS + 10:
        now += step
        world.clock = now * MS
        while at < len(waiting) and waiting[at].arrival < now:
            world.send(waiting[at].role, waiting[at].id, waiting[at].value)
            at += 1
        for partition in range(partitions):
            world.ingest(partition, PREDICTIONS, 1 << 30)
            world.ingest(partition, LABELS, 1 << 30)
            world.flush(partition)
        world.evaluate(0, 1 << 30)
    return world


@cache
def honest() -> World:
    return play(HONEST)


def figures(world: World, metric: str, model: str = "m", **where: Any) -> list[MetricEvent]:
    """Newest revisions of a figure of the overall series, by window."""
    found = [
        event
        for event in newest(world.metrics).values()
        if event.metric == metric and event.model_name == model and not event.segment
        if all(getattr(event, key) == value for key, value in where.items())
    ]
    return sorted(found, key=lambda event: event.window.start)


def values(world: World, metric: str, **where: Any) -> list[float | None]:
    return [event.value for event in figures(world, metric, **where)]


def alerts(world: World) -> set[tuple[str, str]]:
    """(alert, feature or model) of all that ever fired."""
    fired = [alert.labels for alert in world.alerts if alert.state == "firing"]
    return {(labels["alertname"], labels.get("feature", labels.get("model_name", ""))) for labels in fired}


def window(number: int) -> str:
    return format_timestamp((START + number * WINDOW) * MS)


def too_late(world: World) -> int:
    return sum(int(event.value or 0) for event in world.metrics if event.metric == "too_late")


def state_bytes(world: World) -> int:
    return sum(len(key) + len(value) for state in world.state for key, value in state.items())
