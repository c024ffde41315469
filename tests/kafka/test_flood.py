"""Ingest that was told to stops in a flood of rejects: with all it read committed and counted, and nothing skipped."""

from __future__ import annotations

from contextlib import closing

import pytest

from stream_monitor.errors import RejectFlood
from stream_monitor.events.rejects import DeadLetter
from stream_monitor.kafka.ingest import IngestCommit, IngestSettings, IngestStage, ingest_policy
from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.topics import TopicNames, create_topics, require, topic_specs
from tests.broker.topics import TopicSpace
from tests.kafka.test_loop import running, wait_for
from tests.pipeline.test_time import policies
from tests.pipeline.world import DECODE, prediction

GOOD = prediction("id", 60, score=0.5)


@pytest.mark.broker
def test_a_flood_stops_the_stage_with_what_it_counted_committed(topics: TopicSpace) -> None:
    names = TopicNames(topics.name("predictions"), None, topics.prefix)
    create_topics(topics.admin, topic_specs(names, source_partitions=1, panes_partitions=1))
    counts = require(topics.admin, [spec.name for spec in topic_specs(names)])
    client = {"bootstrap.servers": topics.bootstrap}
    commits: list[IngestCommit] = []

    settings = IngestSettings(names, client, counts, "0", stop_on_flood=True)
    stage = IngestStage(policies(), DECODE, {}, settings, on_commit=commits.append)
    loop = Loop(stage, ingest_policy(names, client, "0", flush_interval_ms=200, session_timeout_ms=6_000))

    def read() -> int:
        return sum(commit.counters.consumed.total() for commit in commits)

    topics.produce(names.predictions, [GOOD] * 500 + [b"{"] * 19)
    with closing(stage), running(loop) as raised:
        wait_for(lambda: raised or read() == 519)
        assert not raised, "19 rejects are no flood"
        topics.produce(names.predictions, [b"{"] * 60)
        wait_for(lambda: raised)
        topics.produce(names.predictions, [GOOD] * 10)
    (error,) = raised
    assert isinstance(error, RejectFlood)
    assert error.exit_code == 1
    assert str(error).endswith("or set dead_letters.stop_on_flood: false")
    assert topics.committed(f"{names.prefix}ingest", names.predictions) == {0: read()}
    letters = [DeadLetter.decode(record.value or b"") for record in topics.read_committed(names.dead_letters)]
    rejected = sum(commit.counters.rejected.total() for commit in commits)
    assert len(letters) == rejected
    assert rejected == read() - 500
