"""Event-time progress of the source partitions, and the watermark of a model that follows from it.

A watermark says: no more events before this are expected.  It is the least of the newest event times of the source
partitions that can still bring events, less the allowed disorder.  What we do not know holds it back: a partition
that was never heard of, one whose owner fell silent, one that has not caught up.  A partition that its owner calls
idle for the model does not count.  If all are idle the watermark stays; closing by the clock is the caller's choice
and never makes an event late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec

from stream_monitor.events.times import MAX_MS, MIN_MS

Role = Annotated[str, msgspec.Meta(pattern="^(predictions|labels)$")]
Partition = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]  # a number, or how many there are; all are gone through
Offset = Annotated[int, msgspec.Meta(ge=0)]
Moment = Annotated[int, msgspec.Meta(ge=MIN_MS, le=MAX_MS)]


class SourceProgress(msgspec.Struct, array_like=True):
    """What the owner of one source partition says at a flush.

    `start`, `end`: offsets [start, end) that this flush consumed.  `newest_ms`: newest event time a model in this
    flush.  `caught_up`: all that stood in the partition one idle timeout ago is consumed.  `active`: models that had
    an event here since then.  `seen_ms`: newest event time a model that is known of, where `newest_ms` says
    less because a source behind this partition holds it back.
    """

    role: Role
    partition: Partition
    start: Offset
    end: Offset
    newest_ms: dict[str, Moment] = {}
    caught_up: bool = False
    active: list[str] = []
    seen_ms: dict[str, Moment] = {}


class SourceState(msgspec.Struct, array_like=True):
    """What is known of one source partition; `heard_ms` is the record time of its newest progress. `position` is an
    offset of the topic with `topic_id` (empty: not known)."""

    position: Offset
    heard_ms: int
    caught_up: bool = False
    active: list[str] = []
    newest_ms: dict[str, Moment] = {}
    topic_id: str = ""
    seen_ms: dict[str, Moment] = {}

    def is_of_another(self, topic_id: str) -> bool:
        """Whether the topic was made anew since."""
        return bool(topic_id and self.topic_id) and topic_id != self.topic_id


class Sources(msgspec.Struct, array_like=True):
    """All source partitions, by role. `counts`: partitions a topic has, from its metadata; `topic_ids`: of the topics
    that the counts are of, where known."""

    known: dict[Role, dict[Partition, SourceState]] = {}
    counts: dict[Role, Partition] = {}
    heard_ms: int = 0
    topic_ids: dict[Role, str] = {}

    def state(self, role: str, partition: int) -> SourceState | None:
        return self.known.get(role, {}).get(partition)

    def position(self, role: str, partition: int, topic_id: str) -> int | None:
        """Up to where the partition of this topic is known; None: not at all."""
        state = self.state(role, partition)
        return None if state is None or state.is_of_another(topic_id) else state.position

    def count(self, role: str, count: int, topic_id: str) -> int:
        """Take in how many partitions a topic has; returns how many it had before if it grew, else 0.

        A topic cannot shrink: an owner that says fewer started before it grew, unless the topic was made anew.
        """
        before = self.counts.get(role, 0)
        anew = bool(topic_id) and self.topic_ids.get(role, topic_id) != topic_id
        if topic_id:
            self.topic_ids[role] = topic_id
        if anew or count > before:
            self.counts[role] = count
        return before if count > before and not anew else 0

    def observe(self, progress: SourceProgress, record_ms: int, topic_id: str = "") -> None:
        """Take in one owner's word."""
        partitions = self.known.setdefault(progress.role, {})
        self.heard_ms = max(self.heard_ms, record_ms)
        state = partitions.get(progress.partition)
        if state is None:
            state = partitions[progress.partition] = SourceState(progress.end, record_ms)
        state.position = progress.end
        state.topic_id = topic_id or state.topic_id
        state.heard_ms = max(state.heard_ms, record_ms)
        state.caught_up = progress.caught_up
        state.active = progress.active
        for model, moment in progress.newest_ms.items():
            state.newest_ms[model] = max(moment, state.newest_ms.get(model, moment))
        for model, moment in progress.seen_ms.items():
            state.seen_ms[model] = max(moment, state.seen_ms.get(model, moment))

    def newest_ms(self, model: str, roles: Iterable[str]) -> int | None:
        """Newest event time of `model` over all partitions of `roles`."""
        moments = [
            told[model]
            for role in roles
            for state in self.known.get(role, {}).values()
            for told in (state.newest_ms, state.seen_ms)
            if model in told
        ]
        return max(moments, default=None)


class Reading(msgspec.Struct, frozen=True):
    """The watermark of a model now.

    `watermark_ms` None: held, `holding` names by whom (role, partition).  `all_idle`: every expected partition is idle.
    """

    watermark_ms: int | None
    all_idle: bool
    holding: tuple[tuple[str, int], ...] = ()


def read_watermark(
    sources: Sources,
    model: str,
    roles: Iterable[str],
    *,
    max_out_of_order_ms: int,
    silent_after_ms: int,
    now_ms: int | None = None,
) -> Reading:
    """The watermark of `model` over the topics `roles`.

    `silent_after_ms`: an owner not heard of for this long, against the newest word of any owner (and `now_ms` where
    given), is taken for gone, and its partition holds the watermark until a new owner speaks.
    """
    reference_ms = sources.heard_ms if now_ms is None else max(now_ms, sources.heard_ms)
    least: int | None = None
    holding: list[tuple[str, int]] = []
    expected = 0
    for role in roles:
        known: Mapping[int, SourceState] = sources.known.get(role, {})
        count = sources.counts.get(role, 0)
        if count == 0:
            holding.append((role, -1))
        for partition in range(count):
            expected += 1
            state = known.get(partition)
            if state is None or reference_ms - state.heard_ms > silent_after_ms:
                holding.append((role, partition))
                continue
            if state.caught_up and model not in state.active:
                continue
            newest = state.newest_ms.get(model)
            if newest is None:
                holding.append((role, partition))
            else:
                least = newest if least is None else min(least, newest)
    if holding:
        return Reading(None, False, tuple(holding))
    if least is None:
        return Reading(None, expected > 0)
    return Reading(least - max_out_of_order_ms, False)
