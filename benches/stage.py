"""One stage of a bench, in a process of its own: `python -m benches.stage '{"stage": …, "config": …, …}'`.

Prints one JSON object: events read, and the seconds from the first batch read to the last event counted (for ingest:
committed). The ingest stage is the one that `stream-monitor run --role ingest` runs, put together by the same code.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_monitor.app.exporting import export_policy
from stream_monitor.app.instance import Instance
from stream_monitor.app.preflight import checked_setup
from stream_monitor.app.setup import load_setup
from stream_monitor.app.stages import ingest_part
from stream_monitor.export.board import Board
from stream_monitor.export.commits import IngestCommitted
from stream_monitor.kafka.policy import LoopPolicy, consumer_properties


def consume(config: Path, *, parse: bool) -> tuple[int, float]:
    """Read the predictions topic to its end as the ingest loop does, and parse each value or not."""
    setup = load_setup(config)
    topic = setup.config.topics.predictions
    policy = LoopPolicy("bench", "bench", "bench", (topic,), setup.client)
    consumer = Consumer(consumer_properties(policy))
    left = set(consumer.list_topics(topic, 10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in left])
    loads = orjson.loads
    read, began = 0, 0.0
    while left:
        batch = consumer.consume(policy.batch_messages, 0.1)
        began = began or (time.perf_counter() if batch else 0.0)
        for message in batch:
            error = message.error()
            if error is None:
                read += 1
                value = message.value()
                if parse:
                    loads(value)
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
            else:
                raise KafkaException(error)
    seconds = time.perf_counter() - began
    consumer.close()
    return read, seconds


class _Counting(Board):
    """The board of a run, which besides looks at when what was committed."""

    def __init__(self, *arguments: Any, until: int, stop: threading.Event) -> None:
        super().__init__(*arguments)
        self.events, self.began, self.ended = 0, float("inf"), 0.0
        self.counted = self.joined = 0
        self._until, self._stop = until, stop

    def publish_ingest(self, committed: IngestCommitted) -> None:
        super().publish_ingest(committed)
        now = time.monotonic()
        if committed.processing_seconds:
            self.began = min(self.began, now - max(committed.processing_seconds))
        self.events += sum(committed.consumed.values())
        self.counted += sum(committed.predictions.values())
        self.joined += sum(n for (_, outcome), n in committed.joined.items() if outcome == "joined")
        self.ended = now
        if self.events >= self._until:
            self._stop.set()


def ingest(config: Path, events: int, *, predictions: int, joined: int) -> tuple[int, float]:
    """Everything from the first batch to the commit of the last event, which must all have counted."""
    stop = threading.Event()
    setup = load_setup(config)
    with Instance(setup.config.state_dir, "bench") as owned:
        setup = checked_setup(setup)
        board = _Counting(export_policy(setup), until=events, stop=stop)
        ingest_part(setup, owned, board).run(stop)
    if (board.counted, board.joined) != (predictions, joined):
        raise SystemExit(f"{board.counted} predictions counted and {board.joined} labels joined of {predictions}")
    return board.events, board.ended - board.began


def main() -> None:
    given = json.loads(sys.argv[1])
    config = Path(given["config"])
    if given["stage"] == "ingest":
        predictions, joined = given["predictions"], given["joined"]
        events, seconds = ingest(config, predictions + joined, predictions=predictions, joined=joined)
    else:
        events, seconds = consume(config, parse=given["stage"] == "parse")
    print(json.dumps({"events": events, "seconds": seconds}))


if __name__ == "__main__":
    main()
