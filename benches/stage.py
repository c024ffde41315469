"""One stage of a bench, in a process of its own: `python -m benches.stage '{"stage": …, "config": …, …}'`.

Prints one JSON object: events read, and seconds and CPU seconds of the process from the first batch read to the last
event counted (for ingest: committed). The ingest stage is the one that `stream-monitor run --role ingest` runs, put
together by the same code.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_monitor.app import stages
from stream_monitor.app.arenas import few_arenas
from stream_monitor.app.exporting import export_policy
from stream_monitor.app.instance import Instance
from stream_monitor.app.logs import configure_logs
from stream_monitor.app.preflight import checked_setup
from stream_monitor.app.setup import load_setup
from stream_monitor.app.stages import ingest_part, repartition_part
from stream_monitor.export.board import Board
from stream_monitor.export.commits import IngestCommitted
from stream_monitor.kafka.ingest import IngestStage
from stream_monitor.kafka.policy import LoopPolicy, consumer_properties
from stream_monitor.kafka.repartition import RepartitionStage
from stream_monitor.kafka.stage import Run


def consume(config: Path, *, parse: bool, both: bool, usual: bool = False) -> dict[str, float]:
    """Read the predictions topic, or that of labels too, to its end as the ingest loop does; parse them or not.

    `usual`: with the client's own defaults instead of the loop's settings of how it fetches.
    """
    setup = load_setup(config)
    names = setup.config.topics
    topics = (names.predictions, names.labels) if both else (names.predictions,)
    policy = LoopPolicy("bench", "bench", "bench", topics, setup.client)
    properties = consumer_properties(policy)
    if usual:
        needed = ("group.id", "enable.auto.commit", "auto.offset.reset", "enable.partition.eof")
        properties = {**setup.client, **{name: properties[name] for name in needed}}
    consumer = Consumer(properties)
    left = {
        (topic, partition) for topic in topics for partition in consumer.list_topics(topic, 10).topics[topic].partitions
    }
    consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in left])
    loads = orjson.loads
    read, began, cpu_began = 0, 0.0, 0.0
    while left:
        batch = consumer.consume(policy.batch_messages, 0.1)
        if batch and not began:
            began, cpu_began = time.monotonic(), time.process_time()
        for message in batch:
            error = message.error()
            if error is None:
                read += 1
                value = message.value()
                if parse:
                    loads(value)
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard((message.topic(), message.partition()))
            else:
                raise KafkaException(error)
    found = {"events": read, "seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu_began}
    consumer.close()
    return found


class _CpuClock:
    """CPU seconds of this process at a moment already past: which batch was the first is known at its commit only."""

    INTERVAL_S = 0.02

    def __init__(self) -> None:
        self._samples: list[tuple[float, float]] = []
        self._enough = threading.Event()
        threading.Thread(target=self._sample, daemon=True).start()

    def at(self, moment: float) -> float:
        """At the last sample before `moment` (monotonic seconds); no more are taken after this."""
        self._enough.set()
        before = [cpu for when, cpu in self._samples if when <= moment]
        return before[-1] if before else 0.0

    def _sample(self) -> None:
        while not self._enough.wait(self.INTERVAL_S):
            self._samples.append((time.monotonic(), time.process_time()))


class Counting(Board):
    """The board of a run, which besides looks at when what was committed."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.events = self.counted = self.joined = 0
        self.ended = self.cpu_ended = 0.0
        self._clock = _CpuClock()
        self._began: tuple[float, float] | None = None

    def publish_ingest(self, committed: IngestCommitted) -> None:
        super().publish_ingest(committed)
        if not committed.processing_seconds:
            return
        self.ended, self.cpu_ended = time.monotonic(), time.process_time()
        if self._began is None:
            first = self.ended - max(committed.processing_seconds)
            self._began = first, self._clock.at(first)
        self.events += sum(committed.consumed.values())
        self.counted += sum(committed.predictions.values())
        self.joined += sum(n for (_, outcome), n in committed.joined.items() if outcome == "joined")

    def found(self) -> dict[str, float]:
        began, cpu_began = self._began or (self.ended, self.cpu_ended)
        return {
            "events": self.events,
            "seconds": self.ended - began,
            "cpu_seconds": self.cpu_ended - cpu_began,
        }


class _Reporting(Counting):
    """Prints what was counted after each commit, for a parent that adds up several workers."""

    def publish_ingest(self, committed: IngestCommitted) -> None:
        super().publish_ingest(committed)
        print(json.dumps(self.found()), flush=True)


def _ending(events: int, stop: threading.Event) -> type[IngestStage]:
    """The stage of a run, which besides ends it after its last event: else that one would wait for the next flush, for
    up to a second in which nothing is done."""

    class Ending(IngestStage):
        left = events

        def process(self, batch: list[Run]) -> None:
            super().process(batch)
            self.left -= sum(len(run.messages) for run in batch)
            if self.left <= 0:
                stop.set()

    return Ending


def ingest(config: Path, *, predictions: int, joined: int) -> dict[str, float]:
    """Everything from the first batch to the commit of the last event, which must all have counted."""
    stop = threading.Event()
    setup = load_setup(config)
    board = Counting(export_policy(setup))
    ending = mock.patch.object(stages, "IngestStage", _ending(predictions + joined, stop))
    with Instance(setup.config.state_dir, "bench") as owned, ending:
        ingest_part(checked_setup(setup), owned, board).run(stop)
    if (board.counted, board.joined) != (predictions, joined):
        raise SystemExit(f"{board.counted} predictions counted and {board.joined} labels joined of {predictions}")
    return board.found()


def repartition(config: Path, events: int) -> dict[str, float]:
    """From the first batch of predictions to the commit of the last, placed by their ids."""
    stop, began, ended = threading.Event(), [], []

    class Timed(Board):
        def publish_ingest(self, committed: IngestCommitted) -> None:
            super().publish_ingest(committed)
            if committed.consumed:
                ended[:] = [time.monotonic(), time.process_time()]

    class Ending(RepartitionStage):
        left = events

        def process(self, batch: list[Run]) -> None:
            began.append((time.monotonic(), time.process_time()))
            super().process(batch)
            self.left -= sum(len(run.messages) for run in batch)
            if self.left <= 0:
                stop.set()

    setup = load_setup(config)
    with Instance(setup.config.state_dir, "bench") as owned, mock.patch.object(stages, "RepartitionStage", Ending):
        setup = checked_setup(setup)
        repartition_part(setup, owned, Timed(export_policy(setup))).run(stop)
    return {"events": events, "seconds": ended[0] - began[0][0], "cpu_seconds": ended[1] - began[0][1]}


def work(config: Path, instance: str) -> None:
    """One of several workers of a group: starts at the first line of stdin, ends with its end."""
    stop = threading.Event()
    setup = load_setup(config)
    with Instance(setup.config.state_dir, instance) as owned:
        setup = checked_setup(setup)
        print("{}", flush=True)
        sys.stdin.readline()
        threading.Thread(target=_stop_at_end_of_stdin, args=(stop,), daemon=True).start()
        ingest_part(setup, owned, _Reporting(export_policy(setup))).run(stop)


def _stop_at_end_of_stdin(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def main(arguments: Sequence[str]) -> None:
    few_arenas()  # as `run` does
    configure_logs()  # to stderr: stdout is for the figures
    given = json.loads(arguments[0])
    config, stage = Path(given["config"]), given["stage"]
    if stage == "worker":
        work(config, given["instance"])
    elif stage == "ingest":
        print(json.dumps(ingest(config, predictions=given["predictions"], joined=given["joined"])))
    elif stage == "repartition":
        print(json.dumps(repartition(config, given["events"])))
    else:
        how = set(stage.split("-"))  # consume or parse, and how
        print(json.dumps(consume(config, parse="parse" in how, both="both" in how, usual="usual" in how)))


if __name__ == "__main__":
    main(sys.argv[1:])
