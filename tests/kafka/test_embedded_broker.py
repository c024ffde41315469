"""The loop on the broker inside librdkafka, which the demo uses: it forgets transactional offsets."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer, Producer, TopicPartition

from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.policy import LoopPolicy
from stream_monitor.kafka.stage import TP, OutRecord
from stream_monitor.pipeline.horizon import Span
from tests.kafka.counting import CountingStage, counted
from tests.kafka.test_loop import running, wait_for


def test_the_loop_runs_unchanged_on_the_embedded_broker_and_reads_again_after_an_abort() -> None:
    home = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1})
    bootstrap = ",".join(f"{each.host}:{each.port}" for each in home.list_topics(timeout=10).brokers.values())
    home.list_topics("out", timeout=10)
    for i in range(1000):
        home.produce("in", b"x", str(i).encode())
    assert home.flush(10) == 0

    class AbortsOnce(CountingStage):
        def drain(self, now_ms: int, spans: Mapping[TP, Span]) -> list[OutRecord]:
            records = super().drain(now_ms, spans)
            # First in line: this broker shows aborted records, so the others must not have left.
            return [OutRecord("out", None, b"x" * 20_000_000), *records] if records and not self.aborts else records

    stage = AbortsOnce("out")
    policy = LoopPolicy(
        role="count",
        instance="0",
        group="g",
        topics=("in",),
        client={"bootstrap.servers": bootstrap},
        group_keeps_offsets=False,
        flush_interval_ms=100,
    )
    loop = Loop(stage, policy)
    with running(loop) as raised:
        wait_for(lambda: raised or loop.snapshot.consumed.get("in") == 1000)
        wait_for(lambda: raised or (len(loop.snapshot.lag) == 4 and not any(loop.snapshot.lag.values())))
    assert not raised
    assert loop.snapshot.aborts == 1
    assert _count_all(bootstrap, "out", partitions=4) == 1000


def _count_all(bootstrap: str, topic: str, partitions: int) -> int:
    """Sum of what was counted, up to the ends of the partitions."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "reader", "enable.partition.eof": True}
    consumer = Consumer(settings)
    consumer.assign([TopicPartition(topic, each, 0) for each in range(partitions)])
    values: list[bytes] = []
    ended = 0
    while ended < partitions:
        for message in consumer.consume(100, 1.0):
            if message.error() is None:
                values.append(message.value())
            else:
                ended += 1
    consumer.close()
    return sum(each.n for each in counted(values))
