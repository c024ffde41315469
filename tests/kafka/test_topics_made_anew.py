"""Topics that are deleted and made anew under their names: nothing of the new one is taken for a repeat."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker.topics import TopicSpace
from tests.kafka.stages import Stages
from tests.kafka.test_loop import wait_for

pytestmark = pytest.mark.broker


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
    with stages.both() as (ingest, raised):
        wait_for(lambda: raised or stages.published() == stages.expected(), 60)
    assert not raised
    assert stages.published() == stages.expected()
    assert sorted(stages.alerts()) == [("topic-recreated", "labels"), ("topic-recreated", "predictions")]
