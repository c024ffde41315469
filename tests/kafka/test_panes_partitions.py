"""Partitions added to the panes topic would part models from their state: both stages refuse to start, and say so."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import NewPartitions

from stream_monitor.errors import SetupError
from stream_monitor.kafka.ends import Bounds
from stream_monitor.kafka.evaluate import EvaluateSettings, EvaluateStage, evaluate_policy
from stream_monitor.kafka.ingest import IngestSettings, IngestStage, ingest_policy
from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.replay import check_panes
from stream_monitor.kafka.stage import TP, Start
from stream_monitor.kafka.start import start_offset
from stream_monitor.kafka.topics import TopicNames, create_topics, require, topic_specs
from stream_monitor.pipeline.policy import Policies
from tests.broker.topics import TopicSpace
from tests.kafka.test_loop import running, wait_for
from tests.pipeline.world import DECODE, prediction


def test_ingest_goes_on_with_as_many_panes_partitions_and_with_offsets_of_the_version_before() -> None:
    check_panes([Start(7, "3/4"), Start(7, "3"), Start(0, "")], "panes", 4)


def test_ingest_refuses_another_number() -> None:
    with pytest.raises(SetupError, match=r"panes must keep the 4 partitions .* found 8") as caught:
        check_panes([Start(7, "3"), Start(7, "3/4")], "panes", 8)
    assert "topics.prefix" in str(caught.value.mend)


def test_a_partition_without_offset_is_a_new_one_only_where_the_topic_may_grow() -> None:
    assert start_offset(TP("in", 4), None, Bounds(0, 7), "g") == 0
    with pytest.raises(SetupError, match=r"panes must keep the number of partitions .* no offset for panes\[4\]"):
        start_offset(TP("panes", 4), None, Bounds(0, 7), "g", may_grow=False)


@pytest.mark.broker
def test_nothing_is_counted_once_the_panes_topic_has_grown(topics: TopicSpace) -> None:
    names = TopicNames(topics.name("predictions"), None, topics.prefix)
    create_topics(topics.admin, topic_specs(names, source_partitions=1, panes_partitions=1))
    client = {"bootstrap.servers": topics.bootstrap}
    quick = {"flush_interval_ms": 100, "session_timeout_ms": 6_000}
    every = [spec.name for spec in topic_specs(names)]

    def loops() -> list[Loop]:
        counts = require(topics.admin, every)
        told = Policies(models={})
        ingest = IngestStage(told, DECODE, {}, IngestSettings(names, client, counts, "0"))
        evaluate = EvaluateStage(told, {}, EvaluateSettings(names, client, counts))
        return [
            Loop(ingest, ingest_policy(names, client, "0", **quick)),
            Loop(evaluate, evaluate_policy(names, client, "0", **quick)),
        ]

    topics.produce(names.predictions, [(b"a", prediction("a", 1_700_000_000.0))])
    ingest, evaluate = loops()
    with running(ingest) as raised, running(evaluate) as also:
        wait_for(lambda: raised or also or evaluate.snapshot.consumed.get(names.panes, 0) >= 2)
    assert not raised
    assert not also
    grown = [NewPartitions(topic, 2) for topic in (names.panes, names.state)]
    for answer in topics.admin.create_partitions(grown).values():
        answer.result(30)
    wait_for(lambda: require(topics.admin, every)[names.panes] == 2)
    topics.produce(names.predictions, [(b"b", prediction("b", 1_700_000_001.0))])
    for loop in loops():
        with running(loop) as raised:
            wait_for(lambda raised=raised: raised)
        assert [type(error) for error in raised] == [SetupError]
        assert f"{names.panes} must keep" in str(raised[0])
    assert not any(topics.end_offsets(names.panes)[partition] for partition in (1,))
