"""A revocation inside one call of consume, whose flush is aborted: what the call had gathered before is not taken for
what comes after the new assignment, else the offsets between would be skipped without a word."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace

import pytest

from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.stage import TP, OutRecord
from stream_monitor.pipeline.horizon import Span
from tests.broker.topics import TopicSpace
from tests.kafka.counting import CountingStage
from tests.kafka.test_loop import assert_each_once, policy_for, read_counted, running, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.chaos]


class AbortsOnce(CountingStage):
    """Its first flush that holds something cannot be written."""

    def drain(self, now_ms: int, spans: Mapping[TP, Span]) -> list[OutRecord]:
        records = super().drain(now_ms, spans)
        if records and not self.aborts:
            records.append(OutRecord(self.output, None, b"x" * 20_000_000))
        return records


def test_messages_gathered_before_a_revocation_whose_flush_aborts_skip_nothing(topics: TopicSpace) -> None:
    source, output = topics.create("in", 2), topics.create("out")
    # One call of consume lasts for seconds, and no flush comes but that of the revocation.
    slow = replace(policy_for(topics, source), batch_wait_ms=4_000, flush_interval_ms=60_000, early_flush_gap_ms=None)
    stage = AbortsOnce(output)
    first = Loop(stage, slow)
    second = Loop(CountingStage(output), policy_for(topics, source, instance="1"))
    writing = threading.Event()
    writer = threading.Thread(target=write, args=(topics, source, writing))
    with running(first) as raised:
        wait_for(lambda: raised or first.snapshot.rebalances)
        writer.start()
        try:
            wait_for(lambda: raised or sum(map(len, stage.overlay.values())) > 20)
            with running(second) as raised_too:
                wait_for(lambda: raised or raised_too or second.snapshot.positions, 60)
        finally:
            writing.set()
            writer.join()
    assert first.snapshot.aborts == 1, "the revocation came amid what was not committed"
    rest = Loop(CountingStage(output), policy_for(topics, source))
    with running(rest) as raised_last:
        wait_for(lambda: raised_last or topics.committed(slow.group, source) == topics.end_offsets(source), 60)
    assert not raised
    assert not raised_too
    assert not raised_last
    assert_each_once(topics, source, read_counted(topics, output))


def write(topics: TopicSpace, source: str, halt: threading.Event) -> None:
    while not halt.wait(0.05):
        for partition in range(2):
            topics.produce(source, [b"x"] * 5, partition=partition)
