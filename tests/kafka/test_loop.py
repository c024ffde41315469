"""The transactional loop on a real broker, in this process."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, Producer

from stream_monitor.errors import SetupError
from stream_monitor.kafka.failures import FencedError, LoopFailure
from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.policy import LoopPolicy, consumer_properties
from stream_monitor.kafka.snapshot import Work
from stream_monitor.kafka.stage import TP, OutRecord
from stream_monitor.kafka.steps import Step
from stream_monitor.kafka.transaction import Point
from stream_monitor.pipeline.horizon import Span
from tests.broker.topics import TopicSpace
from tests.kafka.counting import Counted, CountingStage, counted

pytestmark = pytest.mark.broker


def policy_for(topics: TopicSpace, *sources: str, instance: str = "0") -> LoopPolicy:
    return LoopPolicy(
        role="count",
        instance=instance,
        group=topics.name("group"),
        topics=sources,
        client={"bootstrap.servers": topics.bootstrap},
        transactional_prefix=topics.prefix,
        flush_interval_ms=100,
        session_timeout_ms=6_000,
        transaction_timeout_ms=10_000,
        missing_topic_grace_ms=300,
    )


@contextmanager
def running(loop: Loop) -> Iterator[list[BaseException]]:
    """The loop in a thread; drained and joined at the end. What it raised is in the list."""
    stop = threading.Event()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            loop.run(stop)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield raised
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def wait_for(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def read_counted(topics: TopicSpace, output: str) -> list[Counted]:
    return counted([record.value for record in topics.read_committed(output)])


def assert_each_once(topics: TopicSpace, source: str, found: list[Counted]) -> None:
    """Every offset of the source is in exactly one committed range (the source has no markers)."""
    for partition, end in topics.end_offsets(source).items():
        ranges = sorted((c.first, c.last) for c in found if (c.topic, c.partition) == (source, partition))
        upto = 0
        for first, last in ranges:
            assert first == upto, f"{source}[{partition}]: {upto} expected, {first} found"
            upto = last + 1
        assert upto == end
    ours = [c for c in found if c.topic == source]
    assert sum(c.n for c in ours) == sum(c.last - c.first + 1 for c in ours)


def test_each_message_of_two_co_assigned_topics_is_counted_once_and_metadata_come_back(
    topics: TopicSpace,
) -> None:
    sources = [topics.create(name, 3) for name in ("left", "right")]
    output = topics.create("out")
    for source in sources:
        topics.produce(source, ((str(i).encode(), b"x") for i in range(3000)))
    stage = CountingStage(output)
    loop = Loop(stage, policy_for(topics, *sources))
    with running(loop) as raised:
        wait_for(lambda: raised or loop.snapshot.consumed == dict.fromkeys(sources, 3000))
        topics.produce(sources[0], ((str(i).encode(), b"y") for i in range(500)))
    assert not raised  # the last 500 may be counted by the final flush or by the next run
    found = read_counted(topics, output)
    assert sum(c.n for c in found) == sum(sum(topics.committed(policy_for(topics).group, s).values()) for s in sources)
    second = CountingStage(output)
    loop = Loop(second, policy_for(topics, *sources))
    with running(loop) as raised:
        wait_for(lambda: raised or (loop.snapshot.lag and not any(loop.snapshot.lag.values())))
    assert not raised
    found = read_counted(topics, output)
    for source in sources:
        assert_each_once(topics, source, found)
    (taken,) = second.assignments
    assert sum(int(each.metadata) for each in taken.values()) == sum(each.offset for each in taken.values())


def test_an_aborted_transaction_is_read_again_and_nothing_of_it_is_seen(topics: TopicSpace) -> None:
    source, output = topics.create("in", 2), topics.create("out")
    topics.produce(source, ((str(i).encode(), b"x") for i in range(1000)))

    class TooLargeAtFirst(CountingStage):
        def drain(self, now_ms: int, spans: Mapping[TP, Span]) -> list[OutRecord]:
            records = super().drain(now_ms, spans)
            if records and self.aborts < 2:
                records.append(OutRecord(self.output, None, b"x" * 20_000_000))
            return records

    stage = TooLargeAtFirst(output)
    done: list[Work] = []
    loop = Loop(stage, policy_for(topics, source), on_snapshot=lambda snapshot: done.append(snapshot.work))
    began = time.perf_counter()
    with running(loop) as raised:
        wait_for(lambda: raised or loop.snapshot.consumed.get(source) == 1000)
    passed = time.perf_counter() - began
    assert not raised
    assert loop.snapshot.aborts == sum(work.aborts for work in done) == 2
    found = read_counted(topics, output)
    assert_each_once(topics, source, found)
    assert sum(sum(work.batches) for work in done) == 3000  # twice for nothing
    assert sum(work.produced.get(output, 0) for work in done) == len(found)
    assert sum(len(work.transactions) for work in done) == loop.snapshot.commits
    spent = sum((Counter(work.seconds) for work in done), Counter())
    assert all(spent[step] > 0 for step in Step)
    assert 0 < sum(spent.values()) <= passed


def test_a_record_that_can_never_be_written_stops_the_loop_with_its_cause(topics: TopicSpace) -> None:
    source, output = topics.create("in"), topics.create("out")
    topics.produce(source, [b"x"])

    class TooLarge(CountingStage):
        def drain(self, now_ms: int, spans: Mapping[TP, Span]) -> list[OutRecord]:
            return [OutRecord(self.output, None, b"x" * 20_000_000)]

    loop = Loop(TooLarge(output), replace(policy_for(topics, source), max_consecutive_aborts=2))
    with running(loop) as raised:
        wait_for(lambda: raised)
    assert isinstance(raised[0], LoopFailure)
    assert "2 transactions in a row were aborted" in str(raised[0])
    assert "Message size too large" in str(raised[0])
    assert read_counted(topics, output) == []


def test_transaction_markers_do_not_count_as_lag(topics: TopicSpace) -> None:
    source, output = topics.create("in"), topics.create("out")
    writer = Producer({"bootstrap.servers": topics.bootstrap, "transactional.id": topics.name("writer")})
    writer.init_transactions(30)
    for committing in (True, False):
        writer.begin_transaction()
        writer.produce(source, b"x")
        writer.flush(10)
        writer.commit_transaction(10) if committing else writer.abort_transaction(10)
    loop = Loop(CountingStage(output), policy_for(topics, source))
    with running(loop) as raised:
        wait_for(lambda: raised or loop.snapshot.positions == {TP(source, 0): 4})
        assert loop.snapshot.lag == {TP(source, 0): 0}
    assert not raised
    assert [c.n for c in read_counted(topics, output)] == [1]


def test_a_second_process_of_the_same_instance_fences_the_first(topics: TopicSpace) -> None:
    source, output = topics.create("in"), topics.create("out")
    topics.produce(source, [b"x"] * 10)
    first = Loop(CountingStage(output), policy_for(topics, source))
    with running(first) as raised_first:
        wait_for(lambda: first.snapshot.positions == {TP(source, 0): 10})
        second = Loop(CountingStage(output), policy_for(topics, source))
        with running(second) as raised_second:
            wait_for(lambda: second.snapshot.rebalances)
            topics.produce(source, [b"x"] * 10)
            wait_for(lambda: raised_first)
            wait_for(lambda: second.snapshot.positions == {TP(source, 0): 20})
    assert isinstance(raised_first[0], FencedError)
    assert "--instance" in str(raised_first[0])
    assert not raised_second
    assert_each_once(topics, source, read_counted(topics, output))


def test_a_consumer_that_was_fenced_stops_the_loop_though_it_has_nothing_to_commit(topics: TopicSpace) -> None:
    """Its client says so once, in an event, and is dead from then on: without records no transaction would notice."""
    source, output = topics.create("in"), topics.create("out")
    policy = policy_for(topics, source)
    loop = Loop(CountingStage(output), policy)
    usurper = Consumer(consumer_properties(policy, 1))
    with running(loop) as raised:
        wait_for(lambda: raised or loop.snapshot.rebalances)
        usurper.subscribe([source])
        wait_for(lambda: (usurper.consume(1, 0.1), raised)[1])
    usurper.close()
    assert isinstance(raised[0], LoopFailure)


def test_partitions_move_to_a_worker_that_joins_and_each_message_counts_once(topics: TopicSpace) -> None:
    source, output = topics.create("in", 4), topics.create("out")
    send = lambda: topics.produce(source, ((str(i).encode(), b"x") for i in range(2000)))  # noqa: E731
    send()
    first = Loop(CountingStage(output), policy_for(topics, source))
    second = Loop(CountingStage(output), policy_for(topics, source, instance="1"))
    with running(first) as raised_first:
        wait_for(lambda: first.snapshot.commits)
        with running(second) as raised_second:
            wait_for(lambda: second.snapshot.positions)
            send()
            wait_for(lambda: raised_first or raised_second or second.snapshot.consumed.get(source, 0) > 0)
            wait_for(
                lambda: (
                    sum(each.consumed.get(source, 0) for each in (first, second) for each in [each.snapshot]) == 4000
                )
            )
            assert len(first.snapshot.positions) == len(second.snapshot.positions) == 2
    assert not raised_first
    assert not raised_second
    assert_each_once(topics, source, read_counted(topics, output))


def test_what_was_folded_before_a_lost_commit_answer_is_not_counted_again(topics: TopicSpace) -> None:
    """The process dies after the commit and before the stage hears of it: the next one goes on after it."""
    source, output = topics.create("in"), topics.create("out")
    topics.produce(source, [b"x"] * 100)

    def die(point: Point) -> None:
        if point is Point.COMMITTED:
            raise RuntimeError("died")

    with running(Loop(CountingStage(output), policy_for(topics, source), hook=die)) as raised:
        wait_for(lambda: raised)
    topics.produce(source, [b"x"] * 100)
    loop = Loop(CountingStage(output), policy_for(topics, source))
    with running(loop) as raised:
        wait_for(lambda: raised or loop.snapshot.positions == {TP(source, 0): 200})
    assert not raised
    assert_each_once(topics, source, read_counted(topics, output))


def test_a_missing_topic_is_named_with_the_command_that_makes_it(topics: TopicSpace) -> None:
    with running(Loop(CountingStage("out"), policy_for(topics, topics.name("nowhere")))) as raised:
        wait_for(lambda: raised)
    assert isinstance(raised[0], SetupError)
    assert str(raised[0]) == (f"topic {topics.name('nowhere')} does not exist → stream-monitor topics create -c FILE")


def test_a_first_start_at_the_latest_offset_skips_what_stood_there_and_loses_nothing_after(
    topics: TopicSpace,
) -> None:
    source, output = topics.create("in"), topics.create("out")
    topics.produce(source, [b"old"] * 10)
    policy = replace(policy_for(topics, source), first_start="latest")
    with running(Loop(CountingStage(output), policy)) as raised:
        wait_for(lambda: raised or topics.committed(policy.group, source) == {0: 10})
    topics.produce(source, [b"new"] * 5)  # while no worker runs: the anchor holds the place
    loop = Loop(CountingStage(output), policy)
    with running(loop) as raised:
        wait_for(lambda: raised or loop.snapshot.positions == {TP(source, 0): 15})
    assert not raised
    assert [(c.first, c.last) for c in read_counted(topics, output)] == [(10, 14)]


def test_records_deleted_before_they_were_read_stop_the_loop(topics: TopicSpace) -> None:
    from confluent_kafka import TopicPartition

    source, output = topics.create("in"), topics.create("out")
    topics.produce(source, [b"x"] * 10)
    policy = policy_for(topics, source)
    loop = Loop(CountingStage(output), policy)
    with running(loop) as raised:
        wait_for(lambda: raised or loop.snapshot.positions == {TP(source, 0): 10})
    topics.produce(source, [b"x"] * 10)
    (answer,) = topics.admin.delete_records([TopicPartition(source, 0, 15)]).values()
    answer.result(10)
    with running(Loop(CountingStage(output), policy)) as raised:
        wait_for(lambda: raised)
    assert isinstance(raised[0], SetupError)
    assert f"records 10 to 14 of {source}[0] were deleted before group {policy.group} read them" in str(raised[0])


def test_a_transaction_may_be_larger_than_what_the_producer_holds_at_once(topics: TopicSpace) -> None:
    source, output = topics.create("in"), topics.create("out")
    large = b"x" * 400_000

    class Large(CountingStage):
        def drain(self, now_ms: int, spans: Mapping[TP, Span]) -> list[OutRecord]:
            return [OutRecord(self.output, None, large)] * 12 if self.overlay else []

    policy = policy_for(topics, source)
    client = {**policy.client, "queue.buffering.max.kbytes": 1_000, "compression.type": "none"}
    loop = Loop(Large(output), replace(policy, client=client))
    with running(loop) as raised:
        topics.produce(source, [b"x"])
        wait_for(lambda: raised or loop.snapshot.positions == {TP(source, 0): 1})
    assert not raised
    assert loop.snapshot.aborts == 0
    assert len(topics.read_committed(output)) == 12
