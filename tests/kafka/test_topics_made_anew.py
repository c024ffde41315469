"""Topics that are deleted and made anew under their names: nothing of the new one is taken for a repeat."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_monitor.errors import RestoreError, StreamMonitorError
from stream_monitor.kafka.failures import LoopFailure
from tests.broker.topics import TopicSpace
from tests.kafka.stages import Stages
from tests.kafka.test_loop import running, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.chaos]


def test_sources_made_anew_between_two_runs_are_counted_from_their_beginning(
    topics: TopicSpace, tmp_path: Path
) -> None:
    """The new topics are longer than the old ones were, so offsets alone do not tell them apart."""
    stages = Stages(topics, tmp_path).create()
    stages.send(1, 300)
    with stages.both() as (ingest, raised):
        wait_for(lambda: raised or stages.is_read(ingest))
    assert not raised
    stages.recreate(*stages.sources)
    stages.send(2, 600, from_ms=200_000)
    with stages.both() as (_, raised):
        wait_for(lambda: raised or stages.published() == stages.expected(), 90)
    assert not raised
    assert stages.published() == stages.expected()
    assert sorted(stages.alerts()) == [("topic-recreated", "labels"), ("topic-recreated", "predictions")]


def test_sources_made_anew_while_they_are_read_end_the_worker_and_the_next_counts_them(
    topics: TopicSpace, tmp_path: Path
) -> None:
    stages = Stages(topics, tmp_path).create()
    stages.send(1, 300)
    with stages.both() as (ingest, raised):
        wait_for(lambda: raised or stages.is_read(ingest))
        stages.recreate(*stages.sources)
        wait_for(lambda: raised, 60)
    # Whether its end came for the topic that is no more, or for the one that is another, depends on when it looked.
    assert all(isinstance(error, StreamMonitorError) for error in raised.all())
    stages.send(2, 100, from_ms=200_000)
    with stages.both() as (_, raised):
        wait_for(lambda: raised or stages.published() == stages.expected(), 90)
    assert not raised
    assert stages.published() == stages.expected()


def test_a_panes_topic_made_anew_is_refused(topics: TopicSpace, tmp_path: Path) -> None:
    stages = Stages(topics, tmp_path).create()
    stages.send(1, 300)
    with stages.both() as (_, raised):
        wait_for(lambda: raised or stages.published() == stages.expected(), 90)
    stages.recreate(stages.names.panes)
    with running(stages.evaluate()) as raised:
        wait_for(lambda: raised, 60)
    assert isinstance(raised[0], RestoreError)
    assert "the panes topic was made anew" in str(raised[0])


def test_a_state_topic_made_anew_under_evaluate_ends_it_and_is_not_restored_from(
    topics: TopicSpace, tmp_path: Path
) -> None:
    stages = Stages(topics, tmp_path).create()
    stages.send(1, 300)
    with stages.both() as (_, raised):
        wait_for(lambda: raised or stages.published() == stages.expected(), 90)
        stages.recreate(stages.names.state)
        wait_for(lambda: raised, 60)
    assert isinstance(raised.all()[0], LoopFailure)
    with running(stages.evaluate()) as refused:
        wait_for(lambda: refused, 60)
    assert isinstance(refused[0], RestoreError)
    assert "start anew with another topics.prefix" in str(refused[0])
