"""Evaluate's state read back where there is much of it, and while a transaction of the dead is still open on it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from stream_monitor.kafka.transaction import Point
from stream_monitor.pipeline.policy import Policies
from tests.broker.topics import TopicSpace
from tests.kafka.stages import Stages
from tests.kafka.test_loop import running, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.chaos]

SEGMENTS = 500  # of two versions each


class ManySeries(Stages):
    @property
    def told(self) -> Policies:
        return replace(super().told, max_series=3_000)

    def spread(self, seed: int, *, from_ms: int) -> None:
        """Predictions of a thousand series, half of them with a label."""
        rng = random.Random(seed)
        predictions = [
            {
                "id": f"{seed}-{i}",
                "at": from_ms + i * 20 + rng.randrange(1_000),
                "version": str(i % 2),
                "tags": {"country": f"C{i // 2 % SEGMENTS}"},
                "score": rng.random(),
            }
            for i in range(3 * 2 * SEGMENTS)
        ]
        labels = [{"id": each["id"], "at": each["at"] + 500, "label": "1"} for each in predictions[::2]]
        self.play(predictions, labels)


class Dead(BaseException):
    """The process is no more."""


def test_a_thousand_series_are_read_back_while_a_transaction_of_the_dead_is_open(
    topics: TopicSpace, tmp_path: Path
) -> None:
    stages = ManySeries(topics, tmp_path).create()
    stages.spread(1, from_ms=0)
    with stages.both() as (ingest, raised):
        wait_for(lambda: raised or stages.is_read(ingest), 60)
    assert not raised
    stages.spread(2, from_ms=60_000)
    with running(stages.ingest()) as ended:
        wait_for(
            lambda: ended or topics.end_offsets(stages.sources[0]) == topics.committed(group(stages), stages.sources[0])
        )
    assert not ended

    def die(point: Point) -> None:
        if point is Point.PRODUCED:
            raise Dead

    with running(stages.evaluate("dead", hook=die)) as died:
        wait_for(lambda: died, 60)
    assert isinstance(died[0], Dead)
    stable, ends = (topics.end_offsets(stages.names.state, committed_only=each) for each in (True, False))
    assert stable != ends, "its transaction is open on the state"
    with stages.both() as (_, raised):
        wait_for(lambda: raised or stages.published() == stages.expected(), 120)
    assert not raised
    assert stages.published() == stages.expected()
    ids = [event.id for event in stages.metrics()]
    assert len(ids) == len(set(ids))


def group(stages: Stages) -> str:
    return stages.names.prefix + "ingest"
