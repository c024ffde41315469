"""Positions and start offsets: the pure rules of what is read, dropped and committed."""

from __future__ import annotations

import pytest

from stream_monitor.errors import SetupError
from stream_monitor.kafka.ends import Bounds
from stream_monitor.kafka.policy import LoopPolicy
from stream_monitor.kafka.positions import Positions
from stream_monitor.kafka.stage import TP, Run, Start
from stream_monitor.kafka.start import Committed, start_offset, starts

A, B = TP("in", 0), TP("in", 1)


def owning(**starts: int) -> Positions:
    positions = Positions()
    positions.take({A: starts["a"]})
    return positions


def run_of(tp: TP, *offsets: int) -> Run:
    return Run(tp, list(offsets), [f"message {offset}" for offset in offsets])


def test_messages_of_other_partitions_and_repeats_are_dropped() -> None:
    positions = owning(a=5)
    assert positions.accept(run_of(A, 5, 6)) == run_of(A, 5, 6)
    assert positions.accept(run_of(A, 4, 5, 7, 7, 6, 8)) == run_of(A, 7, 8)
    assert positions.accept(run_of(B, 9)) == run_of(B)
    assert positions.to_commit() == {A: 9}


def test_an_abort_goes_back_to_the_last_commit() -> None:
    positions = owning(a=5)
    positions.accept(run_of(A, 5))
    positions.commit()
    positions.accept(run_of(A, 6))
    assert positions.rewind() == {A: 6}
    assert not positions.moved()
    assert positions.accept(run_of(A, 6)) == run_of(A, 6)


def test_markers_at_the_end_are_committed_with_the_messages_before_them() -> None:
    positions = owning(a=5)
    positions.reached(A, 8)
    positions.reached(B, 8)
    assert positions.moved()
    assert positions.to_commit() == {A: 8}


def test_a_partition_added_later_is_read_from_its_beginning() -> None:
    assert start_offset(A, None, Bounds(0, 7), "g") == 0


@pytest.mark.parametrize(
    ("committed", "bounds", "sentence"),
    [
        (None, Bounds(3, 7), "group g lost its committed offset for in[0], whose records begin at 3"),
        (2, Bounds(3, 7), "records 2 to 2 of in[0] were deleted before group g read them"),
        (9, Bounds(3, 7), "group g committed offset 9 for in[0], which ends at 7"),
    ],
)
def test_a_lost_place_is_an_error_with_the_command_that_mends_it(
    committed: int | None, bounds: Bounds, sentence: str
) -> None:
    with pytest.raises(SetupError) as caught:
        start_offset(A, committed, bounds, "g")
    assert sentence in str(caught.value)
    assert "kafka-consumer-groups --reset-offsets --group g --topic in" in str(caught.value)


def test_an_offset_of_a_topic_that_is_no_more_does_not_count() -> None:
    policy = LoopPolicy("count", "0", "g", ("in",))
    found = {A: Bounds(0, 90), B: Bounds(0, 90)}
    committed = {A: Committed(40, "5", "old"), B: Committed(40, "5", "")}
    assert starts(policy, committed, found, {}, {"in": "new"}) == {
        A: Start(0, "", "new"),
        B: Start(40, "5", "new"),  # committed by a version that did not say of which topic
    }
