"""Batches of messages beside the obvious way, message by message."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from confluent_kafka import KafkaError, Message
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.kafka.columns import records_of, runs_of
from stream_monitor.kafka.intake import Intake
from stream_monitor.kafka.positions import Positions
from stream_monitor.kafka.snapshot import Tally
from stream_monitor.kafka.stage import TP
from stream_monitor.pipeline.ingest import Records

TOPICS = ("left", "right")
OWNED = {TP("left", 0): 3, TP("left", 1): 0, TP("right", 0): 0}  # partition → where it begins


def message(topic: str, partition: int, offset: int) -> Message:
    return Message(
        topic=topic, partition=partition, offset=offset, key=b"k%d" % offset, value=b"v", timestamp=(1, offset + 1_000)
    )


def end_of_partition(topic: str, partition: int, offset: int) -> Message:
    error = KafkaError(KafkaError._PARTITION_EOF)
    return Message(topic=topic, partition=partition, offset=offset, error=error)


places = st.tuples(st.sampled_from(TOPICS), st.integers(0, 1))
# Runs with gaps, as transactions leave them, and anything at all.
in_a_row = st.builds(
    lambda place, first, steps: [message(*place, first + sum(steps[:i])) for i in range(len(steps))],
    places,
    st.integers(0, 12),
    st.lists(st.sampled_from([1, 1, 1, 2]), max_size=6),
)
stray = st.builds(lambda place, offset: [message(*place, offset)], places, st.integers(0, 20))
eof = st.builds(lambda place, offset: [end_of_partition(*place, offset)], places, st.integers(0, 20))
batches = st.lists(st.one_of(in_a_row, stray, eof), max_size=8).map(lambda parts: [m for part in parts for m in part])


@dataclass
class Oracle:
    """One message after the other: owned, and at or beyond the next offset; an end moves the next offset there."""

    next: dict[tuple[str, int], int]
    dropped: int = 0

    def accepted(self, batch: list[Message]) -> list[Message]:
        taken = []
        for each in batch:
            tp = (each.topic(), each.partition())
            if each.error() is not None:
                if tp in self.next:
                    self.next[tp] = max(self.next[tp], each.offset())
            elif tp in self.next and each.offset() >= self.next[tp]:
                self.next[tp] = each.offset() + 1
                taken.append(each)
            else:
                self.dropped += 1
        return taken


@given(st.lists(batches, max_size=4))
def test_what_is_taken_in_is_what_message_by_message_would_be(several: list[list[Message]]) -> None:
    positions, tally, oracle = Positions(), Tally(), Oracle({**OWNED})
    positions.take(OWNED)
    intake = Intake(positions, tally, lambda m: positions.reached(TP(m.topic(), m.partition()), m.offset()))
    for batch in several:
        expected = oracle.accepted(batch)
        runs = intake.take(batch)
        assert [id(each) for run in runs for each in run.messages] == list(map(id, expected))
        for run in runs:
            assert run.messages
            assert run.offsets == [each.offset() for each in run.messages]
            assert {TP(each.topic(), each.partition()) for each in run.messages} == {run.tp}
        assert positions.to_commit() == oracle.next
        assert tally.dropped == oracle.dropped
    assert sum(tally.unflushed.values()) == sum(tally.batches)


@given(st.lists(st.one_of(in_a_row, stray), max_size=8).map(lambda parts: [m for part in parts for m in part]))
def test_runs_are_the_messages_in_their_order_each_of_one_partition_and_as_long_as_can_be(
    messages: list[Message],
) -> None:
    runs = runs_of(messages)
    assert [id(each) for run in runs for each in run.messages] == list(map(id, messages))
    assert all(run.messages and {TP(m.topic(), m.partition()) for m in run.messages} == {run.tp} for run in runs)
    assert all(before.tp != after.tp for before, after in pairwise(runs))


@given(st.lists(in_a_row, max_size=6).map(lambda parts: [m for part in parts for m in part if m.topic() == "left"]))
def test_records_are_the_fields_of_each_message(messages: list[Message]) -> None:
    assert records_of(runs_of(messages)) == Records(
        [each.partition() for each in messages],
        [each.offset() for each in messages],
        [each.timestamp()[1] for each in messages],
        [each.key() for each in messages],
        [each.value() for each in messages],
    )
