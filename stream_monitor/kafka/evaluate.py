"""The evaluate stage: one evaluate fold a panes partition, on the transactional loop.

Metric events, alert transitions, profiles, changed state and the panes offsets are one transaction. A fold that lost
a transaction is thrown away and restored from the state topic before it is used again: there is no second way back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from stream_monitor.alerts.judge import ActiveAlert
from stream_monitor.errors import SetupError
from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.cloudevents import ALERT_TYPE, METRIC_TYPE, Headers
from stream_monitor.events.metric import MetricEvent
from stream_monitor.kafka.compacted import read_state
from stream_monitor.kafka.fitting import alert_value, metric_value
from stream_monitor.kafka.head import FORMAT, HEAD_KEY, Head
from stream_monitor.kafka.parts import Parts
from stream_monitor.kafka.policy import LoopPolicy
from stream_monitor.kafka.stage import TP, Outgoing, OutRecord, Run, Start
from stream_monitor.kafka.topics import TopicNames
from stream_monitor.metrics.figure import Figure
from stream_monitor.pipeline.evaluate import EvaluateFold, EvaluateOutput
from stream_monitor.pipeline.horizon import Span
from stream_monitor.pipeline.metric_events import Events
from stream_monitor.pipeline.policy import Policies
from stream_monitor.pipeline.records import record_key
from stream_monitor.reference.profile import Profile

_ALWAYS_WRITTEN = {record_key("sources"), record_key("health")}  # whether they changed or not


@dataclass(frozen=True, slots=True)
class EvaluateCommit:
    """What one commit published for one panes partition. `active`: alerts that are not quiet, by fingerprint.

    `restored`: in the first commit after an assignment, figures of the newest windows, published long ago.
    `trimmed`: by topic, events that were too large in full (fitting.py).
    """

    partition: int
    output: EvaluateOutput
    active: Mapping[str, ActiveAlert]
    restored: Sequence[MetricEvent] = ()
    trimmed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvaluateSettings:
    """What the stage was told beside the policies. `counts`: partitions by topic, of panes and state at least;
    `state_id`: of the state topic (empty: not known)."""

    names: TopicNames
    client: Mapping[str, object] = field(repr=False)
    counts: Mapping[str, int]
    restore_deadline_s: float = 60.0
    state_id: str = ""


class _MetricRecord(NamedTuple):
    """An Outgoing that is made when it is produced: when windows of many series close there are a hundred thousand of
    them, and each takes 2 kB."""

    topic: str
    events: Events
    figure: Figure
    shared: Headers
    trimmed: Counter[str]

    @property
    def key(self) -> bytes:
        return self.events.place.model.encode()

    @property
    def value(self) -> bytes:
        value, is_trimmed = metric_value(self.events.of(self.figure))
        self.trimmed[self.topic] += is_trimmed
        return value

    @property
    def partition(self) -> None:
        return None

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        return self.shared.of(self.events.id_of(self.figure))


class _Owned:
    """One panes partition: where its permanent state stands, and its fold (None: to be restored)."""

    def __init__(self, start: Start) -> None:
        self.start = start
        self.fold: EvaluateFold | None = None
        self.parts = Parts()
        self.trimmed: Counter[str] = Counter()  # of the transaction under way
        self.head: Head | None = None  # of the transaction under way
        self.output: EvaluateOutput | None = None
        self.restored: Sequence[MetricEvent] = ()  # until the first commit
        self.stopped = False  # at a message whose schema is not known, and that was not said yet

    @property
    def flushes(self) -> int:
        return int(self.start.metadata or 0)


class EvaluateStage:
    """A Stage; all calls from the loop's thread."""

    def __init__(
        self,
        policies: Policies,
        profiles: Mapping[str, Profile],
        settings: EvaluateSettings,
        *,
        on_commit: Callable[[EvaluateCommit], None] = lambda commit: None,
        on_revoked: Callable[[Sequence[int]], None] = lambda partitions: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        names, counts = settings.names, settings.counts
        if counts[names.panes] != counts[names.state]:
            raise SetupError(
                f"{names.state} must have as many partitions as {names.panes}, since the state of a panes partition "
                f"lies in the one with the same number; found {counts[names.state]} and {counts[names.panes]}",
                mend="choose another topics.prefix and run stream-monitor topics create -c FILE",
            )
        self._policies = replace(policies, panes_partitions=counts[names.panes])
        self._profiles = profiles
        self._settings = settings
        self._on_commit = on_commit
        self._on_revoked = on_revoked
        self._stopping = stopping
        self._owned: dict[int, _Owned] = {}

    def assigned(self, partitions: Mapping[TP, Start]) -> None:
        self._owned = {tp.partition: _Owned(start) for tp, start in partitions.items()}
        for partition, owned in self._owned.items():
            self._restored(partition, owned)

    def revoked(self, partitions: Sequence[TP]) -> None:
        self._owned = {}
        self._on_revoked([tp.partition for tp in partitions])

    def process(self, batch: list[Run]) -> Mapping[TP, int]:
        left: dict[TP, int] = {}
        for run in batch:
            owned = self._owned[run.tp.partition]
            fold = self._restored(run.tp.partition, owned)
            fold.go_on()
            for offset, message in zip(run.offsets, run.messages, strict=True):
                if not fold.is_ready:
                    left.setdefault(run.tp, offset)
                    break
                if not fold.apply(message.value() or b"", offset, message.timestamp()[1]):
                    left.setdefault(run.tp, offset)
                    owned.stopped = True
                    break
        return left

    def is_full(self) -> bool:
        return any(owned.fold is not None and not owned.fold.is_ready for owned in self._owned.values())

    def _restored(self, partition: int, owned: _Owned) -> EvaluateFold:
        if owned.fold is None:
            settings, owned.parts = self._settings, Parts()
            topic, start = settings.names.state, owned.start
            _, records = read_state(
                settings.client,
                topic,
                partition,
                start,
                deadline_s=settings.restore_deadline_s,
                topic_id=settings.state_id,
                stopping=self._stopping,
            )
            room = self._policies.transaction_bytes // len(self._owned)
            owned.fold = EvaluateFold.restore(
                replace(self._policies, transaction_bytes=room),
                self._profiles,
                owned.parts.joined(records),
                partition=partition,
                position=start.offset if start.metadata else None,
            )
            owned.restored = owned.fold.newest_events()
        return owned.fold

    def is_awaited(self) -> bool:
        return any(owned.fold is not None and owned.fold.is_awaited() for owned in self._owned.values())

    def drain(self, now_ms: int, spans: Mapping[TP, Span]) -> list[Outgoing]:
        records: list[Outgoing] = []
        for tp, span in spans.items():
            owned = self._owned[tp.partition]
            fold = self._restored(tp.partition, owned)
            fold.tick(now_ms)
            output = fold.drain()
            touched = any(key not in _ALWAYS_WRITTEN for key, _ in output.state)
            news = touched or output.metrics or output.alerts or output.profiles or owned.stopped
            if span.end == span.start and not news:
                continue
            owned.output = output
            owned.head = Head(FORMAT, span.end, owned.flushes + 1, self._settings.state_id)
            owned.trimmed = Counter()
            records += self._events(output, now_ms, owned.trimmed)
            records += self._state(tp.partition, output, owned.head, owned.parts)
        return records

    def _events(self, output: EvaluateOutput, now_ms: int, trimmed: Counter[str]) -> list[Outgoing]:
        names, source = self._settings.names, self._policies.source
        headers = Headers(METRIC_TYPE, source, now_ms)
        records: list[Outgoing] = [
            _MetricRecord(names.metrics, *each, headers, trimmed) for each in output.metrics.unmade()
        ]
        for metric in output.metrics.others:
            key = metric.model_name.encode()
            records.append(OutRecord(names.metrics, key, metric.encode(), headers=headers.of(metric.id)))
        headers = Headers(ALERT_TYPE, source, now_ms)
        for alert in output.alerts:
            key = alert.fingerprint.encode()
            value, is_trimmed = alert_value(alert)
            trimmed[names.alerts] += is_trimmed
            records.append(OutRecord(names.alerts, key, value, headers=headers.of(alert.id)))
        newest: dict[str, AlertEvent] = {alert.fingerprint: alert for alert in output.alerts}
        for alert in newest.values():
            kept = alert_value(alert)[0] if alert.state == "firing" else None
            records.append(OutRecord(names.alert_state, alert.fingerprint.encode(), kept))
        for profile in output.profiles:
            records.append(OutRecord(names.profiles, profile.model_name.encode(), profile.to_json()))
        return records

    def _state(self, partition: int, output: EvaluateOutput, head: Head, parts: Parts) -> list[OutRecord]:
        topic = self._settings.names.state
        written = (each for record in output.state for each in parts.split(record))
        records = [OutRecord(topic, key, value, partition) for key, value in written]
        return [*records, OutRecord(topic, HEAD_KEY, head.to_bytes(), partition)]

    def commit_metadata(self, topic: str, partition: int) -> str:
        owned = self._owned[partition]
        return owned.start.metadata if owned.head is None else owned.head.metadata

    def committed(self) -> None:
        for partition, owned in self._owned.items():
            if owned.head is None or owned.output is None or owned.fold is None:
                continue
            owned.start = Start(owned.head.position, owned.head.metadata)
            active, trimmed = owned.fold.active_alerts(), +owned.trimmed
            commit = EvaluateCommit(partition, owned.output, active, owned.restored, trimmed)
            owned.head = owned.output = None
            owned.restored = ()
            owned.stopped = False
            self._on_commit(commit)

    def aborted(self) -> None:
        for owned in self._owned.values():
            owned.fold = owned.head = owned.output = None


def evaluate_policy(names: TopicNames, client: Mapping[str, object], instance: str, **changes: object) -> LoopPolicy:
    """The loop policy of an evaluate worker; `changes` replace single fields."""
    policy = LoopPolicy(
        "evaluate", instance, f"{names.prefix}evaluate", (names.panes,), client, names.prefix, (names.state,)
    )
    # Its messages are few: a batch never fills, and waiting for more would only delay the figures.
    return replace(policy, **{"batch_wait_ms": 20, "may_grow": False, **changes})  # type: ignore[arg-type]
