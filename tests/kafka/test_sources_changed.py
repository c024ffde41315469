"""What happens to source topics from outside: partitions are added, records are deleted before they were read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import NewPartitions

from stream_monitor.errors import SetupError, StoreError
from stream_monitor.kafka.failures import LoopFailure
from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.repartition import RepartitionSettings, RepartitionStage, repartition_policy
from stream_monitor.kafka.topics import create_topics, require, topic_specs
from tests.broker.topics import TopicSpace
from tests.kafka.stage_worker import names_of
from tests.kafka.stages import TIMES, Stages
from tests.kafka.test_loop import running, wait_for
from tests.kafka.test_store_faults import files_up_to
from tests.pipeline.test_exact_counts import policies
from tests.pipeline.world import DECODE

pytestmark = [pytest.mark.broker, pytest.mark.chaos]


def test_partitions_added_to_both_sources_are_counted_and_an_alert_says_so(topics: TopicSpace, tmp_path: Path) -> None:
    stages = Stages(topics, tmp_path).create()
    stages.send(1, 300)
    with stages.both() as (ingest, raised):
        wait_for(lambda: raised or stages.is_read(ingest))
        grow(topics, *stages.sources)
        wait_for(lambda: raised, 60)
    assert isinstance(raised.all()[0], LoopFailure)
    assert "partitions now and had 2 when this worker began → start it again" in str(raised.all()[0])
    stages.send(2, 600, from_ms=200_000)
    assert topics.end_offsets(stages.sources[0])[2] > 100
    with stages.both() as (_, raised):
        wait_for(lambda: raised or stages.published() == stages.expected(), 90)
    assert not raised
    assert stages.published() == stages.expected()
    assert sorted(stages.alerts()) == [("partitions-added", "labels"), ("partitions-added", "predictions")]


def test_partitions_added_to_a_topic_that_repartition_fills_end_it_since_no_mark_would_stand_in_them(
    topics: TopicSpace,
) -> None:
    names = replace(names_of(topics.prefix), repartition=True)
    create_topics(topics.admin, topic_specs(names, source_partitions=2, panes_partitions=2))
    counts = require(topics.admin, [spec.name for spec in topic_specs(names)])
    client = {"bootstrap.servers": topics.bootstrap}
    stage = RepartitionStage(policies(), DECODE, RepartitionSettings(names, counts, "0"))
    loop = Loop(stage, repartition_policy(names, client, "0", **TIMES))
    with running(loop) as raised:
        wait_for(lambda: raised or loop.snapshot.commits)
        grow(topics, names.keyed_predictions)
        wait_for(lambda: raised)
    assert isinstance(raised[0], LoopFailure)
    assert f"{names.keyed_predictions} has 3 partitions now and had 2" in str(raised[0])


def test_partitions_added_to_one_source_only_are_refused_with_the_mend(topics: TopicSpace, tmp_path: Path) -> None:
    stages = Stages(topics, tmp_path).create()
    grow(topics, stages.sources[0])
    with pytest.raises(SetupError, match="need the same number of them") as caught:
        stages.ingest()
    assert f"--topic {stages.sources[1]} --partitions 3" in str(caught.value)


def test_records_that_expired_unread_stop_ingest_and_after_the_mend_all_others_count(
    topics: TopicSpace, tmp_path: Path
) -> None:
    stages = Stages(topics, tmp_path).create()
    stages.send(1, 300)
    with stages.both() as (ingest, raised):
        wait_for(lambda: raised or stages.is_read(ingest))
    stages.send(2, 200, from_ms=200_000)
    ends = [TopicPartition(name, p, end) for name in stages.sources for p, end in topics.end_offsets(name).items()]
    for answer in topics.admin.delete_records(ends).values():
        answer.result(20)
    del stages.sent[-1]
    with running(stages.ingest()) as refused:
        wait_for(lambda: refused, 60)
    assert isinstance(refused[0], SetupError)
    assert "were deleted before group" in str(refused[0])
    wait_for(lambda: moved(topics, stages.names.prefix + "ingest", ends), 60)
    stages.send(3, 300, from_ms=400_000)
    with stages.both() as (_, raised):
        wait_for(lambda: raised or stages.published() == stages.expected(), 90)
    assert not raised
    assert stages.published() == stages.expected()
    assert ("source-gap", "predictions") in stages.alerts()


def test_a_full_disk_ends_ingest_and_with_room_all_counts_are_exact(topics: TopicSpace, tmp_path: Path) -> None:
    stages = Stages(topics, tmp_path).create()
    stages.send(1, 5_000)
    with files_up_to(120_000), running(stages.ingest()) as full:
        wait_for(lambda: full, 60)
    assert isinstance(full[0], StoreError)
    assert "make room on that disk" in str(full[0])
    stages.send(2, 500, from_ms=2_100_000)
    with stages.both() as (_, raised):
        wait_for(lambda: raised or stages.published() == stages.expected(), 120)
    assert not raised
    assert stages.published() == stages.expected()


def grow(topics: TopicSpace, *names: str) -> None:
    for answer in topics.admin.create_partitions([NewPartitions(name, 3) for name in names]).values():
        answer.result(20)
    wait_for(lambda: all(len(topics.admin.list_topics(name, 10).topics[name].partitions) == 3 for name in names))


def moved(topics: TopicSpace, group: str, to: list[TopicPartition]) -> bool:
    """As kafka-consumer-groups --reset-offsets does it; refused until the group is empty."""
    try:
        for answer in topics.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, to)]).values():
            if any(each.error is not None for each in answer.result(20).topic_partitions):
                return False
    except KafkaException:
        return False
    return True
