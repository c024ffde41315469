"""The ingest stage: the ingest fold on the transactional loop.

Predictions and labels in; panes deltas with progress, and dead letters, out. The join store is written after each
commit and brought up to date (replay.py) before a partition is taken up. Profiles that evaluate publishes are
adopted between two flushes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from stream_monitor.errors import SetupError
from stream_monitor.events.decode import LabelDecoder, PredictionDecoder
from stream_monitor.events.label import LabelEvent
from stream_monitor.events.policy import DecodePolicy
from stream_monitor.events.prediction import PredictionRow
from stream_monitor.join.store import JoinStore, MemoryStore, Role
from stream_monitor.kafka.columns import records_of
from stream_monitor.kafka.compacted import CompactedReader
from stream_monitor.kafka.dead_letters import dead_letter_record
from stream_monitor.kafka.flood_stop import FloodStop
from stream_monitor.kafka.keys import KeyCheck
from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.policy import LoopPolicy
from stream_monitor.kafka.reject_log import RejectLog
from stream_monitor.kafka.replay import bind, check_panes, gaps, metadata, replay
from stream_monitor.kafka.snapshot import LoopSnapshot
from stream_monitor.kafka.stage import TP, Message, OutRecord, Run, Start
from stream_monitor.kafka.topics import TopicNames, check_co_partitioned
from stream_monitor.kafka.transaction import Hook
from stream_monitor.pipeline.horizon import Span
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS, IngestCounters, IngestFlush, IngestFold
from stream_monitor.pipeline.policy import ModelPolicy, Policies
from stream_monitor.reference.profile import Profile


@dataclass(frozen=True, slots=True)
class IngestCommit:
    """What one commit added. `processing_seconds`: one observation a batch, from its reading to the commit;
    `join_entries`: entries in all stores of this worker now, `join_bytes`: their size on disk, None where it keeps
    none; `held_bytes`: memory of what waited for the commit, roughly; `join_evicted`: entries that left the stores
    because of their limit."""

    counters: IngestCounters
    processing_seconds: tuple[float, ...]
    join_entries: int | None
    join_bytes: int | None = None
    held_bytes: int = 0
    join_evicted: int = 0


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """What the stage was told beside the policies. `counts`: partitions of the sources, panes and profiles topics."""

    names: TopicNames
    client: Mapping[str, object] = field(repr=False)
    counts: Mapping[str, int]
    instance: str
    dead_letters: bool = True
    stop_on_flood: bool = False
    check_keys: bool = True


class IngestStage:
    """A Stage; all calls from the loop's thread."""

    def __init__(
        self,
        policies: Policies,
        decode: DecodePolicy,
        profiles: Mapping[str, Profile],
        settings: IngestSettings,
        *,
        store: JoinStore | None = None,
        on_commit: Callable[[IngestCommit], None] = lambda commit: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """`profiles` from files go before published ones. Without `store` nothing is joined beyond memory."""
        self._policies = replace(policies, panes_partitions=settings.counts[settings.names.panes])
        self._settings = settings
        self._given = dict(profiles)
        self._stored = store is not None and any(model.join is not None for model in _models(policies))
        self._store: JoinStore = store if store is not None else MemoryStore()
        self._fold = IngestFold(self._policies, decode, profiles, self._store, instance=settings.instance)
        self._on_commit = on_commit
        self._stopping = stopping
        names = settings.names
        self._roles: dict[str, Role] = {names.keyed_predictions: PREDICTIONS}
        if names.keyed_labels is not None:
            self._roles[names.keyed_labels] = LABELS
            check_co_partitioned(settings.counts, names.keyed_predictions, names.keyed_labels)
        self._topics = {role: topic for topic, role in self._roles.items()}
        self._source_counts = {role: settings.counts[topic] for topic, role in self._roles.items()}
        self._owned: set[int] = set()
        self._topic_ids: dict[Role, str] = {}
        self._keys = KeyCheck({topic: settings.counts[topic] for topic in self._roles})
        self._samplers = PredictionDecoder(decode), LabelDecoder(decode)
        by_id = self._stored or names.labels is not None
        self._check_keys = settings.check_keys and by_id and not names.repartition
        self._flush: IngestFlush | None = None
        self._spans: Mapping[TP, Span] = {}
        self._read_at: list[float] = []
        self._rejected = RejectLog()
        self._flood = FloodStop(policies.reject_flood_share if settings.stop_on_flood else None)
        self._profiles: CompactedReader | None = None

    def assigned(self, partitions: Mapping[TP, Start]) -> None:
        check_panes(partitions.values(), self._settings.names.panes, self._policies.panes_partitions)
        self._follow_profiles()
        self._owned = {tp.partition for tp in partitions}
        self._topic_ids = {self._roles[tp.topic]: start.topic_id for tp, start in partitions.items() if start.topic_id}
        for partition in self._owned:
            starts = {role: partitions[TP(topic, partition)] for role, topic in self._together(partitions, partition)}
            if self._stored:
                bind(partition, starts, self._store)
                missing = gaps(partition, starts, self._store)
                if missing:
                    replay(self._settings.client, self._fold, self._topics, partition, missing, self._stopping)

    def _together(self, partitions: Mapping[TP, Start], partition: int) -> list[tuple[Role, str]]:
        for topic in self._roles:
            if TP(topic, partition) not in partitions:
                raise SetupError(
                    f"partition {partition} of {topic} was assigned to another worker than that of the other topic",
                    mend="give both topics the same number of partitions and let all workers read both",
                )
        return list(self._topics.items())

    def revoked(self, partitions: Sequence[TP]) -> None:
        self._fold.released([(self._roles[tp.topic], tp.partition) for tp in partitions])
        for partition in {tp.partition for tp in partitions}:
            self._store.release(partition)
        self._owned = set()

    def process(self, batch: list[Run]) -> None:
        self._read_at.append(time.monotonic())
        by_topic: dict[str, list[Run]] = {}
        for run in batch:
            by_topic.setdefault(run.tp.topic, []).append(run)
        for topic, runs in by_topic.items():
            if self._check_keys:
                messages = chain.from_iterable(run.messages for run in runs)
                self._sample_keys(topic, list(islice(messages, self._keys.wanted(topic))))
            if self._roles[topic] == PREDICTIONS:
                self._fold.predictions(records_of(runs))
            else:
                self._fold.labels(records_of(runs))

    def _sample_keys(self, topic: str, messages: Sequence[Message]) -> None:
        # Time -1: here the key is judged, not whether the event's time is plausible.
        sampler = self._samplers[0 if self._roles[topic] == PREDICTIONS else 1]
        decoded = sampler.decode_batch([message.value() for message in messages], [-1] * len(messages))
        rows: Sequence[PredictionRow | LabelEvent] = decoded.rows
        for row, place in zip(rows, decoded.index, strict=True):
            message = messages[place]
            self._keys.observe(topic, message.partition(), message.key(), row.prediction_id)

    def is_awaited(self) -> bool:
        return self._fold.is_awaited()

    def is_full(self) -> bool:
        return self._fold.is_full()

    def drain(self, now_ms: int, spans: Mapping[TP, Span]) -> list[OutRecord]:
        self._spans = spans
        by_role = {(self._roles[tp.topic], tp.partition): span for tp, span in spans.items()}
        self._flush = self._fold.flush(now_ms, by_role, self._source_counts, self._topic_ids)
        panes = self._settings.names.panes
        records = [OutRecord(panes, key, value, partition) for partition, key, value in self._flush.messages]
        if self._settings.dead_letters:
            names, source = self._settings.names, self._policies.source
            records.extend(dead_letter_record(letter, names, source, now_ms) for letter in self._flush.dead_letters)
        return records

    def commit_metadata(self, topic: str, partition: int) -> str:
        floor = self._fold.floor(self._roles[topic], partition) if self._stored else None
        return metadata(floor, self._spans[TP(topic, partition)], self._policies.panes_partitions)

    def committed(self) -> None:
        held = self._fold.held_bytes()
        dropped = self._fold.committed()
        now = time.monotonic()
        entries = sum(self._store.entries(p) for p in self._owned) if self._stored else None
        size = sum(self._store.disk_bytes(p) for p in self._owned) if self._stored else None
        waited = tuple(now - at for at in self._read_at)
        self._read_at.clear()
        if self._flush is not None:
            counters = self._flush.counters
            left_out = {(self._topics[role], reason): n for (role, reason), n in counters.left_out.items()}
            self._rejected.say(self._flush.dead_letters, left_out, now)
            self._on_commit(IngestCommit(counters, waited, entries, size, held, dropped.evicted))
            self._flood.committed(counters.consumed.total(), counters.rejected.total(), now)
        self._flush = None
        self._adopt(dict(self._profiles.poll()) if self._profiles is not None else {})

    def aborted(self) -> None:
        self._flush = None
        self._read_at.clear()
        self._fold.discarded()

    def close(self) -> None:
        """Close the reader of profiles; the store belongs to whoever made it."""
        if self._profiles is not None:
            self._profiles.close()

    def _follow_profiles(self) -> None:
        topic = self._settings.names.profiles
        if self._profiles is None and topic in self._settings.counts:
            self._profiles = CompactedReader(self._settings.client, topic, self._settings.counts[topic])
            self._adopt(self._profiles.read_to_end())

    def _adopt(self, published: Mapping[bytes, bytes | None]) -> None:
        profiles = [Profile.from_json(value) for value in published.values() if value is not None]
        if fresh := [profile for profile in profiles if profile.model_name not in self._given]:
            self._fold.adopt(fresh)


def _models(policies: Policies) -> list[ModelPolicy]:
    return [*policies.models.values(), policies.unlisted]


def ingest_policy(names: TopicNames, client: Mapping[str, object], instance: str, **changes: object) -> LoopPolicy:
    """The loop policy of an ingest worker; `changes` replace single fields."""
    labels = names.keyed_labels
    sources = (names.keyed_predictions,) if labels is None else (names.keyed_predictions, labels)
    policy = LoopPolicy("ingest", instance, f"{names.prefix}ingest", sources, client, names.prefix)
    return replace(policy, **changes)  # type: ignore[arg-type]


def ingest_loop(
    stage: IngestStage,
    policy: LoopPolicy,
    *,
    on_snapshot: Callable[[LoopSnapshot], None] | None = None,
    hook: Hook | None = None,
) -> Loop:
    return Loop(stage, policy, on_snapshot=on_snapshot, hook=hook)
