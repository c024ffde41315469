"""The fold before the first, for source topics that are not keyed by prediction_id: it places each event by its id.

Labels meet their predictions, and repeats the first of their kind, only where all events of an id are read by one
worker in one order.  So each event goes as it is to a topic of the monitor's own that is keyed by prediction_id, and
ingest reads that one.  Whether an event's time is plausible is judged here, against the time of its source record.

Event time needs more than the events: a partition of ours mixes those of all source partitions, and one that lags
would make its backlog too late.  So every flush leaves, behind its events in every partition of ours, a *mark*: how
far the source partitions of this worker have come.  A reader of the mark has read all events that it speaks of
(upstream.py).  Pure: time comes in as an argument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stream_monitor.events.decode import IdentityDecoder, LabelDecoder
from stream_monitor.events.policy import DecodePolicy
from stream_monitor.events.rejects import DeadLetter
from stream_monitor.pipeline.horizon import Horizon, Span
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS, Records, at, by_model
from stream_monitor.pipeline.messages import FORMAT, Progress, encode
from stream_monitor.pipeline.policy import Policies
from stream_monitor.pipeline.rejected import Rejected
from stream_monitor.pipeline.window_ends import WindowEnds


class Keyed(NamedTuple):
    """An event as it came, and the prediction_id that places it."""

    key: bytes
    value: bytes


@dataclass(slots=True)
class RepartitionCounters:
    """Increments of one flush; they count only once it is committed."""

    consumed: Counter[str] = field(default_factory=Counter)  # role
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)  # role, reason
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)  # of those: without a dead letter


class RepartitionFlush(NamedTuple):
    """By role.  A mark goes behind the events, to every partition of the role's topic of ours: to the first one that of
    `first_marks`, which also tells of the rejects, so that they are told once."""

    events: Mapping[str, Sequence[Keyed]]
    marks: Mapping[str, bytes]
    first_marks: Mapping[str, bytes]
    dead_letters: list[DeadLetter]
    counters: RepartitionCounters


class RepartitionFold:
    """All source partitions of one worker."""

    def __init__(self, policies: Policies, decode: DecodePolicy, *, instance: str) -> None:
        self._policies = policies
        self._instance = instance
        self._decoders: dict[str, IdentityDecoder | LabelDecoder] = {
            PREDICTIONS: IdentityDecoder(decode),
            LABELS: LabelDecoder(decode),  # a label says when its prediction was, which is judged as well
        }
        self._horizon = Horizon(policies.idle_timeout_ms)
        self._window_ends = WindowEnds(policies)
        self._start_anew()

    def take(self, role: str, records: Records) -> None:
        """Take in a batch of one source topic."""
        decoded = self._decoders[role].decode_batch(records.values, records.timestamps_ms)
        self._counters.consumed[role] += len(records.values)
        for place, reject in decoded.rejects:
            self._counters.rejected[role, str(reject.reason)] += 1
            self._rejected.add(role, reject, records.row(place))
        self._held_bytes += sum(len(value) for value in records.values if value)
        self._events.setdefault(role, []).extend(
            Keyed(row.prediction_id.encode("utf-8", "surrogatepass"), value)
            for row, value in zip(decoded.rows, at(records.values, decoded.index), strict=True)
            if value is not None  # none is: such a record is a reject
        )
        for name, _, moments, places in by_model(decoded):
            self._horizon.note(role, name, at(records.partitions, places), moments)

    def is_awaited(self) -> bool:
        """True if what was read since the last flush may let a window close."""
        return self._window_ends.passed(self._horizon.newest)

    def is_full(self) -> bool:
        """True if a flush must not wait for more: what is held has reached its limit."""
        return self._held_bytes >= self._policies.max_unflushed_bytes

    def flush(self, now_ms: int, spans: Mapping[tuple[str, int], Span], counts: Mapping[str, int]) -> RepartitionFlush:
        """What was taken since the last commit. `spans`: by (role, partition), every owned one; `counts`: partitions
        of each source topic."""
        progress = self._horizon.progress(now_ms, spans)
        marks, first_marks = {}, {}
        for role, count in counts.items():
            sources = [each for each in progress if each.role == role]
            mark = Progress(v=FORMAT, instance=self._instance, sources=sources, counts={role: count})
            marks[role] = encode(mark)
            mark.rejects = {reason: n for (of, reason), n in self._counters.rejected.items() if of == role}
            first_marks[role] = encode(mark)
        letters = self._rejected.letters(self._policies.topics, now_ms)
        self._counters.left_out = self._rejected.left_out
        self._window_ends.told(self._horizon.newest)
        return RepartitionFlush(self._events, marks, first_marks, letters, self._counters)

    def committed(self) -> None:
        """The flush is in Kafka."""
        self._start_anew()

    def discarded(self) -> None:
        """Forget everything since the last commit."""
        self._start_anew()

    def released(self, partitions: Iterable[tuple[str, int]]) -> None:
        """These (role, partition) belong to somebody else now."""
        self._horizon.released(partitions)

    def _start_anew(self) -> None:
        self._events: dict[str, list[Keyed]] = {}
        self._held_bytes = 0
        self._rejected = Rejected(self._policies.dead_letters)
        self._counters = RepartitionCounters()
        self._horizon.start_anew()
