"""Evaluate on a real broker where one message makes more due than a transaction may hold, and dies in the middle."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from stream_monitor.events.metric import MetricEvent
from stream_monitor.kafka.evaluate import EvaluateCommit, EvaluateSettings, EvaluateStage, evaluate_policy
from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.stage import TP
from stream_monitor.kafka.topics import TopicNames, create_topics, require, topic_specs
from stream_monitor.kafka.transaction import Hook, Point
from stream_monitor.pipeline.evaluate import EvaluateFold
from tests.broker.topics import TopicSpace
from tests.kafka.test_loop import running, wait_for
from tests.pipeline.test_transactions import folded, told
from tests.pipeline.world import newest

pytestmark = pytest.mark.broker

BYTES = 30_000


class Killed(BaseException):
    """Nothing in the loop catches it: the transaction stays open, as after kill -9."""


def killed_at(point: Point, passings: int) -> Hook:
    left = [passings]

    def hook(at: Point) -> None:
        left[0] -= at is point
        if left[0] < 0:
            raise Killed

    return hook


def test_a_jump_of_event_time_is_published_in_small_transactions_exactly_once(topics: TopicSpace) -> None:
    names = TopicNames(topics.name("predictions"), topics.name("labels"), topics.prefix)
    create_topics(topics.admin, topic_specs(names, source_partitions=2, panes_partitions=1))
    counts = require(topics.admin, [spec.name for spec in topic_specs(names)])
    client = {"bootstrap.servers": topics.bootstrap}
    panes = [value for value, _ in folded(0).panes[0]]
    # All in one batch: those behind a jump are put back and read again.
    topics.produce(names.panes, panes)
    whole = EvaluateFold(told(), {}, partition=0)
    for offset, value in enumerate(panes):
        whole.apply(value, offset, 0)
    whole.tick(10**12)
    expected = _figures(list(whole.drain().metrics))
    sizes: list[int] = []

    def on_commit(commit: EvaluateCommit) -> None:
        metrics = commit.output.metrics
        sizes.append(sum(len(event.encode()) for event in metrics if event.metric != "too_late"))

    def loop(hook: Hook | None = None) -> Loop:
        stage = EvaluateStage(
            told(transaction_bytes=BYTES, revision_interval_ms=0),
            {},
            EvaluateSettings(names, client, counts),
            on_commit=on_commit,
        )
        changes = {"session_timeout_ms": 6_000, "transaction_timeout_ms": 10_000}
        return Loop(stage, evaluate_policy(names, client, "0", **changes), hook=hook)

    for point in (Point.PRODUCED, Point.COMMITTED):
        with running(loop(killed_at(point, 7))) as raised:
            wait_for(lambda raised=raised: raised)
        assert isinstance(raised[0], Killed)
    last = loop()
    with running(last) as raised:
        wait_for(lambda: raised or last.snapshot.positions.get(TP(names.panes, 0), 0) >= len(panes), 60)
        wait_for(lambda: raised or not last._stage.is_full())
    assert not raised
    found = [json.loads(record.value or b"") for record in topics.read_committed(names.metrics)]
    repeated = [id_ for id_, times in Counter(event["id"] for event in found).items() if times > 1]
    assert not repeated
    assert _figures([MetricEvent.decode(json.dumps(event).encode()) for event in found]) == expected
    assert max(sizes) <= BYTES + 8_000
    assert sum(sizes) > 15 * BYTES


def _figures(metrics: list[MetricEvent]) -> dict[tuple, tuple]:
    return {key: (event.value, event.n, event.status) for key, event in newest(metrics).items()}
