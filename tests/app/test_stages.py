"""Both stages, each in a process of its own or not, are run as their command says."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from stream_monitor.app import stages
from stream_monitor.export.board import Board
from stream_monitor.kafka.topics import TopicNames


class Told(Exception):
    """What the test wanted to see has been seen."""


@pytest.mark.parametrize("make", [stages.ingest_part, stages.evaluate_part])
def test_each_stage_collects_garbage_seldom_before_it_does_anything_else(
    monkeypatch: pytest.MonkeyPatch, make: object
) -> None:
    def told() -> None:
        raise Told

    monkeypatch.setattr(stages, "collect_seldom", told)
    monkeypatch.setattr(stages, "topic_names", lambda setup: TopicNames())
    setup = SimpleNamespace(policies=SimpleNamespace(topics={}), profiles={})
    part = make(setup, None, Board())  # type: ignore[operator]
    with pytest.raises(Told):
        part.run(threading.Event())
