"""An ingest and an evaluate worker in this process, on topics of one test; stream and oracle are the pipeline's."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stream_monitor.errors import SetupError
from stream_monitor.events.metric import MetricEvent
from stream_monitor.kafka.evaluate import EvaluateSettings, EvaluateStage, evaluate_policy
from stream_monitor.kafka.ingest import IngestSettings, IngestStage, ingest_policy
from stream_monitor.kafka.join_store import RocksJoinStore
from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.topic_watch import describe
from stream_monitor.kafka.topics import TopicNames, create_topics, require, topic_specs
from stream_monitor.kafka.transaction import Hook
from stream_monitor.pipeline.policy import Policies
from tests.broker.topics import TopicSpace
from tests.kafka.stage_worker import names_of
from tests.kafka.test_loop import running
from tests.pipeline.test_exact_counts import pairs_of, policies, stream
from tests.pipeline.world import DECODE, counted, expected_counts, first_of, label, prediction

JAVA = {"partitioner": "murmur2_random"}
IDLE_TIMEOUT_MS = 2_000
TIMES: dict[str, Any] = {
    "flush_interval_ms": 150,
    "session_timeout_ms": 6_000,
    "transaction_timeout_ms": 10_000,
    "ends_interval_ms": 300,
}


@dataclass
class Stages:
    """`sent` holds batches of events within which repeats and joins are known to the monitor."""

    topics: TopicSpace
    folder: Path
    sent: list[tuple[list[dict], list[dict]]] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)  # of the policies

    @property
    def names(self) -> TopicNames:
        return names_of(self.topics.prefix)

    @property
    def sources(self) -> list[str]:
        return [self.names.predictions, self.names.labels or ""]

    @property
    def told(self) -> Policies:
        return policies(idle_timeout_ms=IDLE_TIMEOUT_MS, **self.changes)

    def create(self, partitions: int = 2) -> Stages:
        create_topics(self.topics.admin, topic_specs(self.names, source_partitions=partitions, panes_partitions=2))
        return self

    def ingest(self) -> Loop:
        store = RocksJoinStore(self.folder / "join")
        client = {"bootstrap.servers": self.topics.bootstrap}
        settings = IngestSettings(self.names, client, self._counts(), "0")
        stage = IngestStage(self.told, DECODE, {}, settings, store=store)
        loop = Loop(stage, ingest_policy(self.names, client, "0", idle_timeout_ms=IDLE_TIMEOUT_MS, **TIMES))
        run = loop.run

        def closing(stop: Any) -> None:
            try:
                run(stop)
            finally:
                stage.close()
                store.close()

        loop.run = closing  # type: ignore[method-assign]
        return loop

    def evaluate(self, instance: str = "0", hook: Hook | None = None) -> Loop:
        client = {"bootstrap.servers": self.topics.bootstrap}
        state_id = describe(self.topics.admin, [self.names.state])[self.names.state].topic_id
        settings = EvaluateSettings(self.names, client, self._counts(), restore_deadline_s=5.0, state_id=state_id)
        policy = evaluate_policy(self.names, client, instance, **TIMES)
        return Loop(EvaluateStage(self.told, {}, settings), policy, hook=hook)

    @contextmanager
    def both(self, instance: str = "0") -> Iterator[tuple[Loop, Raised]]:
        """The ingest loop, and what either raised; `instance` of evaluate."""
        ingest, evaluate = self.ingest(), self.evaluate(instance)
        with ExitStack() as stack:
            raised = stack.enter_context(running(ingest))
            raised_too = stack.enter_context(running(evaluate))
            yield ingest, Raised(raised, raised_too)

    def _counts(self) -> dict[str, int]:
        names = self.names
        return require(self.topics.admin, [*self.sources, names.panes, names.state, names.profiles])

    def send(self, seed: int, n: int, *, from_ms: int = 0) -> None:
        """A stream of its own: ids that nobody else has, times from `from_ms` on."""
        predictions, labels = stream(random.Random(seed), n)
        for event in (*predictions, *labels):
            event["id"], event["at"] = f"{seed}-{event['id']}", event["at"] + from_ms
        self.play(predictions, labels)

    def play(self, predictions: list[dict], labels: list[dict]) -> None:
        self.sent.append((predictions, labels))
        self.topics.produce(self.sources[0], [_prediction(each) for each in predictions], settings=JAVA)
        self.topics.produce(self.sources[1], [_label(each) for each in labels], settings=JAVA)

    def expected(self) -> list[Counter[tuple]]:
        """Recount: predictions, and pairs, of each batch for itself."""
        firsts = [p for predictions, _ in self.sent for p in first_of(predictions, "id", "version")]
        pairs = [p for predictions, labels in self.sent for p in pairs_of(predictions, labels)]
        return [
            expected_counts([("m", p["version"], p["tags"], p["at"]) for p in firsts], self.told),
            expected_counts([("m", p["version"], p["tags"], p["label_at"]) for p in pairs], self.told),
        ]

    def metrics(self) -> list[MetricEvent]:
        return [MetricEvent.decode(r.value) for r in self.topics.read_committed(self.names.metrics) if r.value]

    def published(self) -> list[Counter[tuple]]:
        metrics = self.metrics()
        return [counted(metrics, "predictions", "prediction"), counted(metrics, "labels_joined", "label")]

    def is_read(self, loop: Loop) -> bool:
        """Whether all that stands in the sources is committed by this loop."""
        at = {(tp.topic, tp.partition): offset for tp, offset in loop.snapshot.positions.items()}
        ends = {(name, p): end for name in self.sources for p, end in self.topics.end_offsets(name).items()}
        return at == ends

    def recreate(self, *names: str, partitions: int = 2) -> None:
        for answer in self.topics.admin.delete_topics(list(names)).values():
            answer.result(20)
        specs = topic_specs(self.names, source_partitions=partitions, panes_partitions=2)
        wanted = [spec for spec in specs if spec.name in names]
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(SetupError):  # the broker still shows something of the one that was deleted
                wanted = [report.spec for report in create_topics(self.topics.admin, wanted) if not report.created]
                if not wanted:
                    return
            time.sleep(0.2)
        raise TimeoutError(f"{names} could not be made anew")

    def alerts(self) -> list[tuple[str, str]]:
        """Name and topic of the alerts about the monitor itself, firing ones, in order."""
        found = [json.loads(r.value) for r in self.topics.read_committed(self.names.alerts) if r.value]
        return [
            (alert["labels"]["alertname"], alert["labels"].get("topic", "").removeprefix(self.topics.prefix))
            for alert in found
            if alert["state"] == "firing"
        ]


class Raised:
    """What two loops raised, as it comes; true as soon as there is something."""

    def __init__(self, *lists: list[BaseException]) -> None:
        self._lists = lists

    def all(self) -> list[BaseException]:
        return [error for each in self._lists for error in each]

    def __bool__(self) -> bool:
        return any(self._lists)

    def __repr__(self) -> str:
        return repr(self.all())


def _prediction(e: dict) -> tuple[bytes, bytes]:
    value = prediction(e["id"], e["at"] / 1000, version=e["version"], tags=e["tags"], score=e["score"])
    return e["id"].encode(), value


def _label(e: dict) -> tuple[bytes, bytes]:
    return e["id"].encode(), label(e["id"], e["at"] / 1000, label=e["label"])
