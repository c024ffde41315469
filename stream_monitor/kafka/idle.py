"""Is everything that stood in a partition some time ago consumed? The partition's half of idleness. Pure.

A partition is idle for a model when everything that stood in it `idle_timeout` ago is consumed and none of the
model's events came since (that half is the fold's). An observation "at time t the partition ended at e" proves the
first half for t as soon as e is reached, however busy the partition is; without observations nothing is claimed.
Times are milliseconds of one clock; memory is `MAX_PENDING` observations a partition.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from stream_monitor.kafka.stage import TP

MAX_PENDING = 16


class Quiet(StrEnum):
    """Whether a partition counts as caught up, with the reason where it does not."""

    CAUGHT_UP = "caught_up"
    UNOWNED = "unowned"
    JUST_ASSIGNED = "just_assigned"  # which events came before is known to the former owner only
    UNKNOWN = "unknown"  # no observation of the partition's end was reached yet
    LAGGING = "lagging"  # older records are still unread, or the brokers have not answered for too long


class _Partition:
    __slots__ = ("caught_up_ms", "owned_since_ms", "pending")

    def __init__(self, owned_since_ms: int) -> None:
        self.owned_since_ms = owned_since_ms
        self.caught_up_ms: int | None = None
        self.pending: list[tuple[int, int]] = []


class CaughtUp:
    """What is known about the ends of the owned partitions."""

    def __init__(self) -> None:
        self._partitions: dict[TP, _Partition] = {}

    def assigned(self, partitions: Iterable[TP], now_ms: int) -> None:
        self._partitions = {tp: _Partition(now_ms) for tp in partitions}

    def revoked(self) -> None:
        self._partitions = {}

    def end_seen(self, tp: TP, end: int, at_ms: int) -> None:
        """At `at_ms` or later the next record of the partition would have had offset `end`."""
        state = self._partitions.get(tp)
        if state is None:
            return
        if len(state.pending) >= MAX_PENDING:
            # Forgetting a middle one only makes the proof come later, with the next.
            del state.pending[MAX_PENDING // 2]
        state.pending.append((at_ms, end))

    def consumed(self, tp: TP, next_offset: int) -> None:
        """Everything below `next_offset` is consumed."""
        state = self._partitions.get(tp)
        if state is None or not state.pending:
            return
        proved = [at_ms for at_ms, end in state.pending if end <= next_offset]
        if proved:
            state.pending = [(at_ms, end) for at_ms, end in state.pending if end > next_offset]
            state.caught_up_ms = max(*proved, state.caught_up_ms or 0)

    def quiet(self, tp: TP, now_ms: int, idle_timeout_ms: int) -> Quiet:
        """Whether all that stood in the partition `idle_timeout_ms` ago was consumed, by one owner since then."""
        state = self._partitions.get(tp)
        ago = now_ms - idle_timeout_ms
        if state is None:
            return Quiet.UNOWNED
        if state.caught_up_ms is None:
            return Quiet.UNKNOWN
        if state.caught_up_ms < ago:
            return Quiet.LAGGING
        return Quiet.JUST_ASSIGNED if state.owned_since_ms > ago else Quiet.CAUGHT_UP
