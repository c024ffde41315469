"""Figures are published when their window closes, however long the flush interval is."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from stream_monitor.kafka.evaluate import EvaluateSettings, EvaluateStage, evaluate_policy
from stream_monitor.kafka.ingest import IngestSettings, IngestStage, ingest_policy
from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.pace import Forced
from stream_monitor.kafka.stage import TP
from stream_monitor.kafka.topics import TopicNames, create_topics, require, topic_specs
from tests.broker.topics import TopicSpace
from tests.kafka.counting import CountingStage
from tests.kafka.test_loop import policy_for, running, wait_for
from tests.pipeline.test_time import T0, policies
from tests.pipeline.world import DECODE, prediction

pytestmark = pytest.mark.broker
HOUR_MS = 3_600_000


def test_what_somebody_waits_for_is_committed_before_the_interval_is_over(topics: TopicSpace) -> None:
    source, output = topics.create("in"), topics.create("out")

    class Awaited(CountingStage):
        def is_awaited(self) -> bool:
            return sum(map(len, self.overlay.values())) >= 10

    loop = Loop(Awaited(output), replace(policy_for(topics, source), flush_interval_ms=HOUR_MS))
    with running(loop) as raised:
        for sent in (10, 20):
            topics.produce(source, [b"x"] * 10)
            wait_for(lambda at=sent: raised or loop.snapshot.positions == {TP(source, 0): at})
        assert loop.snapshot.commits == 2
    assert not raised


def test_what_has_reached_its_limit_is_committed_at_once_and_counted(topics: TopicSpace) -> None:
    source, output = topics.create("in"), topics.create("out")
    forced: Counter[Forced] = Counter()

    class Full(CountingStage):
        def is_full(self) -> bool:
            return sum(map(len, self.overlay.values())) >= 10

    loop = Loop(
        Full(output),
        replace(policy_for(topics, source), flush_interval_ms=HOUR_MS),
        on_snapshot=lambda snapshot: forced.update(snapshot.work.forced),
    )
    with running(loop) as raised:
        for sent in (10, 20):
            topics.produce(source, [b"x"] * 10)
            wait_for(lambda at=sent: raised or loop.snapshot.positions == {TP(source, 0): at})
    assert not raised
    assert forced == {Forced.MEMORY: 2}


def test_a_window_that_the_newest_event_closes_is_published_at_once(topics: TopicSpace) -> None:
    names = TopicNames(topics.name("predictions"), None, topics.prefix)
    create_topics(topics.admin, topic_specs(names, source_partitions=1, panes_partitions=1))
    counts = require(topics.admin, [spec.name for spec in topic_specs(names)])
    client = {"bootstrap.servers": topics.bootstrap}
    changes = {"flush_interval_ms": HOUR_MS, "session_timeout_ms": 6_000}
    ingest = Loop(
        IngestStage(policies(), DECODE, {}, IngestSettings(names, client, counts, "0")),
        # The first flush is made by number: only afterwards is it known which ends were passed.
        ingest_policy(names, client, "0", **changes, max_unflushed_messages=3),
    )
    evaluate = Loop(
        EvaluateStage(policies(), {}, EvaluateSettings(names, client, counts)),
        evaluate_policy(names, client, "0", **changes),
    )
    with running(ingest) as raised, running(evaluate) as raised_too:
        topics.produce(names.predictions, [prediction(str(i), T0 / 1_000 + 20 + i, score=0.5) for i in range(3)])
        wait_for(lambda: raised or ingest.snapshot.commits == 1)
        topics.produce(names.predictions, [prediction("last", T0 / 1_000 + 71, score=0.5)])
        wait_for(lambda: raised or raised_too or evaluate.snapshot.commits == 1)
    assert not raised + raised_too
    events = [json.loads(record.value or b"") for record in topics.read_committed(names.metrics)]
    assert [event["value"] for event in events if event["metric"] == "predictions"] == [3]
