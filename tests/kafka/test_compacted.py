"""State is read up to the head of the committed offset, or not at all."""

from __future__ import annotations

import threading
import time

import pytest
from confluent_kafka import Producer, TopicPartition

from stream_monitor.errors import FormatError, RestoreError
from stream_monitor.kafka.compacted import CompactedReader, read_state
from stream_monitor.kafka.head import FORMAT, HEAD_KEY, Head
from stream_monitor.kafka.stage import Start
from tests.broker.topics import TopicSpace

pytestmark = pytest.mark.broker


def head(position: int, flush: int) -> tuple[bytes, bytes]:
    return HEAD_KEY, Head(FORMAT, position, flush).to_bytes()


def test_state_is_that_of_the_committed_flush_even_if_its_position_has_two_heads(topics: TopicSpace) -> None:
    topic = topics.create("state", 2, cleanup_policy="compact")
    client = {"bootstrap.servers": topics.bootstrap}
    records = [(b"a", b"1"), (b"b", b"1"), head(7, 1), (b"a", b"2"), (b"b", None), head(7, 2), (b"c", b"3"), head(9, 3)]
    topics.produce(topic, records, partition=1)
    assert read_state(client, topic, 1, Start(7, "1")) == (Head(1, 7, 1), [(b"a", b"1"), (b"b", b"1")])
    assert read_state(client, topic, 1, Start(7, "2")) == (Head(1, 7, 2), [(b"a", b"2")])
    assert read_state(client, topic, 1, Start(9, "3"))[1] == [(b"a", b"2"), (b"c", b"3")]


def test_it_waits_for_a_head_whose_transaction_is_not_yet_visible(topics: TopicSpace) -> None:
    topic = topics.create("state")
    writer = Producer({"bootstrap.servers": topics.bootstrap, "transactional.id": topics.name("writer")})
    writer.init_transactions(30)
    writer.begin_transaction()
    for key, value in [(b"a", b"1"), head(5, 1)]:
        writer.produce(topic, value, key)
    writer.flush(10)
    late = threading.Timer(0.5, writer.commit_transaction)
    late.start()
    found, records = read_state({"bootstrap.servers": topics.bootstrap}, topic, 0, Start(5, "1"))
    late.join()
    assert (found, records) == (Head(1, 5, 1), [(b"a", b"1")])


def test_state_that_never_comes_or_does_not_belong_is_an_error_never_a_guess(topics: TopicSpace) -> None:
    topic = topics.create("state")
    client = {"bootstrap.servers": topics.bootstrap}
    assert read_state(client, topic, 0, Start(3, "")) == (None, [])
    topics.produce(topic, [(b"a", b"1"), head(5, 4)])
    with pytest.raises(RestoreError, match="holds flush 4 at position 5, but flush 3 at 4 is committed"):
        read_state(client, topic, 0, Start(4, "3"))
    with pytest.raises(RestoreError, match=r"no head of flush 5 at position 6 within 2 s; last seen: Head"):
        read_state(client, topic, 0, Start(6, "5"), deadline_s=2)
    with pytest.raises(RestoreError, match="going on would count twice, or leave out"):
        read_state(client, topic, 0, Start(0, ""))
    with pytest.raises(FormatError, match="found 'x'"):
        read_state(client, topic, 0, Start(6, "x"))


def test_profiles_are_read_to_the_end_and_then_followed(topics: TopicSpace) -> None:
    topic = topics.create("profiles", 2)
    topics.produce(topic, [(b"m1", b"old"), (b"m2", b"x"), (b"m1", b"new")])
    topics.produce(topic, [(b"m2", None)])
    reader = CompactedReader({"bootstrap.servers": topics.bootstrap}, topic, 2)
    assert reader.read_to_end() == {b"m1": b"new"}
    assert list(reader.poll()) == []
    topics.produce(topic, [(b"m3", b"y")])
    found: list[tuple[bytes, bytes | None]] = []
    while not found:
        found = list(reader.poll())
    assert found == [(b"m3", b"y")]
    reader.close()


def test_the_first_record_of_a_restore_does_not_wait_for_the_clients_half_second(topics: TopicSpace) -> None:
    """Each panes partition is restored by itself: of 16, that would be 8 s after every rebalance. The best of many, for
    a machine that does much else."""
    topic = topics.create("state")
    topics.produce(topic, [(b"a", b"1"), head(5, 1)])
    took: list[float] = []
    while len(took) < 40 and min(took, default=1.0) >= 0.45:
        began = time.monotonic()
        assert read_state({"bootstrap.servers": topics.bootstrap}, topic, 0, Start(5, "1"))[1] == [(b"a", b"1")]
        took.append(time.monotonic() - began)
    assert min(took) < 0.45, took


def test_what_was_deleted_at_the_beginning_is_passed_over(topics: TopicSpace) -> None:
    topic = topics.create("state", cleanup_policy="compact,delete")
    topics.produce(topic, [(b"a", b"1"), (b"b", b"1"), head(5, 1)])
    topics.admin.delete_records([TopicPartition(topic, 0, 1)])[TopicPartition(topic, 0)].result(20)
    assert read_state({"bootstrap.servers": topics.bootstrap}, topic, 0, Start(5, "1"))[1] == [(b"b", b"1")]
