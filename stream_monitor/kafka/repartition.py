"""The repartition stage: source topics keyed by anything in, topics keyed by prediction_id out, exactly once.

Events, marks and dead letters of a flush are one transaction with the source offsets. It keeps nothing between
commits. Costs a second write and read of every event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from stream_monitor.events.policy import DecodePolicy
from stream_monitor.kafka.columns import records_of
from stream_monitor.kafka.dead_letters import dead_letter_record
from stream_monitor.kafka.flood_stop import FloodStop
from stream_monitor.kafka.policy import LoopPolicy
from stream_monitor.kafka.reject_log import RejectLog
from stream_monitor.kafka.stage import TP, Outgoing, OutRecord, Run, Start
from stream_monitor.kafka.topics import TopicNames
from stream_monitor.pipeline.horizon import Span
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.policy import Policies
from stream_monitor.pipeline.repartition import RepartitionCounters, RepartitionFlush, RepartitionFold

_TAKEN_UP = "repartition"  # metadata of every committed offset


@dataclass(frozen=True, slots=True)
class RepartitionSettings:
    """What the stage was told beside the policies. `counts`: partitions of the sources and of the keyed topics."""

    names: TopicNames
    counts: Mapping[str, int]
    instance: str
    dead_letters: bool = True
    stop_on_flood: bool = False


class _KeyedRecord(NamedTuple):
    """An Outgoing that only its key places: there is one for each event."""

    topic: str
    key: bytes
    value: bytes

    @property
    def partition(self) -> None:
        return None

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        return ()


class RepartitionStage:
    """A Stage; all calls from the loop's thread."""

    def __init__(
        self,
        policies: Policies,
        decode: DecodePolicy,
        settings: RepartitionSettings,
        *,
        on_commit: Callable[[RepartitionCounters], None] = lambda counters: None,
    ) -> None:
        names = settings.names
        self._settings, self._policies = settings, policies
        self._fold = RepartitionFold(policies, decode, instance=settings.instance)
        self._roles = {names.predictions: PREDICTIONS}
        self._keyed = {PREDICTIONS: names.keyed_predictions}
        if names.labels is not None and names.keyed_labels is not None:
            self._roles[names.labels] = LABELS
            self._keyed[LABELS] = names.keyed_labels
        self._source_counts = {role: settings.counts[topic] for topic, role in self._roles.items()}
        self._on_commit = on_commit
        self._rejected = RejectLog()
        self._flood = FloodStop(policies.reject_flood_share if settings.stop_on_flood else None)
        self._flush: RepartitionFlush | None = None

    def assigned(self, partitions: Mapping[TP, Start]) -> None:
        pass

    def revoked(self, partitions: Sequence[TP]) -> None:
        self._fold.released([(self._roles[tp.topic], tp.partition) for tp in partitions])

    def process(self, batch: list[Run]) -> None:
        for topic, role in self._roles.items():
            if runs := [run for run in batch if run.tp.topic == topic]:
                self._fold.take(role, records_of(runs))

    def is_awaited(self) -> bool:
        return self._fold.is_awaited()

    def is_full(self) -> bool:
        return self._fold.is_full()

    def drain(self, now_ms: int, spans: Mapping[TP, Span]) -> Sequence[Outgoing]:
        by_role = {(self._roles[tp.topic], tp.partition): span for tp, span in spans.items()}
        self._flush = flush = self._fold.flush(now_ms, by_role, self._source_counts)
        records: list[Outgoing] = []
        for role, topic in self._keyed.items():
            records += [_KeyedRecord(topic, *event) for event in flush.events.get(role, ())]
            records.append(OutRecord(topic, None, flush.first_marks[role], 0))
            others = range(1, self._settings.counts[topic])
            records += [OutRecord(topic, None, flush.marks[role], partition) for partition in others]
        if self._settings.dead_letters:
            names, source = self._settings.names, self._policies.source
            records += [dead_letter_record(letter, names, source, now_ms) for letter in flush.dead_letters]
        return records

    def commit_metadata(self, topic: str, partition: int) -> str:
        return _TAKEN_UP

    def committed(self) -> None:
        self._fold.committed()
        if self._flush is not None:
            counters, now = self._flush.counters, time.monotonic()
            topics = {role: topic for topic, role in self._roles.items()}
            left_out = {(topics[role], reason): n for (role, reason), n in counters.left_out.items()}
            self._rejected.say(self._flush.dead_letters, left_out, now)
            self._on_commit(counters)
            self._flood.committed(counters.consumed.total(), counters.rejected.total(), now)
        self._flush = None

    def aborted(self) -> None:
        self._flush = None
        self._fold.discarded()


def repartition_policy(names: TopicNames, client: Mapping[str, object], instance: str, **changes: object) -> LoopPolicy:
    """The loop policy of a repartition worker; `changes` replace single fields."""
    sources = (names.predictions,) if names.labels is None else (names.predictions, names.labels)
    # A mark has to stand in every partition that an event may be placed in.
    keyed = tuple(name for name in (names.keyed_predictions, names.keyed_labels) if name is not None)
    policy = LoopPolicy("repartition", instance, f"{names.prefix}repartition", sources, client, names.prefix, keyed)
    # The events themselves wait for the flush, and the producer's queue takes 100,000.
    return replace(policy, **{"max_unflushed_messages": 50_000, **changes})  # type: ignore[arg-type]
