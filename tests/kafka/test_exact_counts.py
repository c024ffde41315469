"""Exact counts, end to end: two ingest and one evaluate process get SIGKILL while the stream is being written.

What a read_committed consumer sees (newest revision + too_late) must equal the recount of the same events, with
duplicates, disorder and labels before predictions; and no metric id may come twice.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from pathlib import Path

import pytest

from stream_monitor.events.metric import MetricEvent
from stream_monitor.kafka.topics import create_topics, topic_specs
from tests.broker.topics import TopicSpace
from tests.kafka.stage_worker import names_of
from tests.kafka.supervised import Faults, Worker
from tests.pipeline.test_exact_counts import pairs_of, policies, stream
from tests.pipeline.world import counted, expected_counts, first_of, label, prediction

pytestmark = pytest.mark.broker

JAVA = {"partitioner": "murmur2_random"}


class Writer(threading.Thread):
    """Writes both topics side by side, a slice every 100 ms; all that is left once `hurry` is set."""

    def __init__(self, topics: TopicSpace, predictions: list[dict], labels: list[dict], slices: int) -> None:
        super().__init__(daemon=True)
        self.topics, self.predictions, self.labels, self.slices = topics, predictions, labels, slices
        self.hurry = threading.Event()
        self.unread_left = True

    def run(self) -> None:
        names = names_of(self.topics.prefix)
        done = 0
        for i in range(1, self.slices + 1):
            if self.hurry.is_set():
                i = self.slices
            for name, encode, events in (
                (names.predictions, _prediction, self.predictions),
                (names.labels, _label, self.labels),
            ):
                part = events[len(events) * done // self.slices : len(events) * i // self.slices]
                self.topics.produce(name or "", [encode(event) for event in part], settings=JAVA)
            done = i
            if done == self.slices:
                break
            self.hurry.wait(0.1)
        self.unread_left = False


def _prediction(e: dict) -> tuple[bytes, bytes]:
    value = prediction(e["id"], e["at"] / 1000, version=e["version"], tags=e["tags"], score=e["score"])
    return e["id"].encode(), value


def _label(e: dict) -> tuple[bytes, bytes]:
    return e["id"].encode(), label(e["id"], e["at"] / 1000, label=e["label"])


@pytest.mark.timeout(240)
def test_counts_are_exact_though_ingest_and_evaluate_are_killed(topics: TopicSpace, tmp_path: Path) -> None:
    names = names_of(topics.prefix)
    create_topics(topics.admin, topic_specs(names, source_partitions=4, panes_partitions=2))
    predictions, labels = stream(random.Random(3), 6_000)
    given = {"bootstrap": topics.bootstrap, "prefix": topics.prefix, "state_dir": str(tmp_path)}
    kills_at: list[Faults] = [[("kill", point, 3)] for point in ("produced", "offsets_sent", "committed")]

    def worker(role: str, instance: str, faults: list[Faults]) -> Worker:
        told = given | {"role": role, "instance": instance}
        return Worker("tests.kafka.stage_worker", told, faults, tmp_path / f"{role}-{instance}.log")

    workers = [
        worker("ingest", "0", list(kills_at)),
        worker("ingest", "1", []),
        worker("evaluate", "0", list(kills_at)),
    ]
    random_victim = workers[1]
    writer = Writer(topics, predictions, labels, slices=600)
    writer.start()
    chance = random.Random(5)
    deadline = time.monotonic() + 100
    try:
        next_kill = time.monotonic() + 3
        while sum(each.ends.count(-signal.SIGKILL) for each in workers) < 10 or any(each.faults for each in workers):
            assert time.monotonic() < deadline, _tails(workers)
            assert writer.unread_left
            if time.monotonic() > next_kill and random_victim.ends.count(-signal.SIGKILL) < 4:
                random_victim.signal(signal.SIGKILL)
                next_kill = time.monotonic() + chance.uniform(1.8, 3.5)
            for each in workers:
                each.attend()
            time.sleep(0.02)
        writer.hurry.set()
        writer.join()
        firsts = first_of(predictions, "id", "version")
        told = policies()
        expected = expected_counts([("m", p["version"], p["tags"], p["at"]) for p in firsts], told)
        pairs = pairs_of(predictions, labels)
        joined = expected_counts([("m", p["version"], p["tags"], p["label_at"]) for p in pairs], told)
        metrics: list[MetricEvent] = []
        while time.monotonic() < deadline + 40:
            for each in workers:
                each.attend()
            metrics = [MetricEvent.decode(r.value) for r in topics.read_committed(names.metrics) if r.value]
            found = [counted(metrics, *each) for each in (("predictions", "prediction"), ("labels_joined", "label"))]
            if found == [expected, joined]:
                break
            time.sleep(0.5)
    finally:
        for each in workers:
            each.end()
    assert [each.ends[-1] for each in workers] == [0, 0, 0], _tails(workers)
    assert all(set(each.ends[:-1]) <= {-signal.SIGKILL} for each in workers), _tails(workers)
    assert counted(metrics, "predictions", "prediction") == expected
    assert counted(metrics, "labels_joined", "label") == joined
    ids = [event.id for event in metrics]
    assert len(ids) == len(set(ids)), "a metric id came twice"
    assert any(event.metric == "too_late" for event in metrics), "the stream must have hit lateness"
    assert any(event.revision for event in metrics), "and corrections"


def _tails(workers: list[Worker]) -> str:
    return "\n".join(f"{each.log.name} {each.ends}\n{each.log.read_text()[-3000:]}" for each in workers)
