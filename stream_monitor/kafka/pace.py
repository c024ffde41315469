"""When the loop flushes: every interval, at once when too much is unflushed, and early where somebody waits for it.
Pure.

Early flushes keep away from each other by a gap, and by four times what the last one took, so that they take at most a
fifth of the time; a worker that is behind its topics makes none.  Times are ms of one clock, which may be set back.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from stream_monitor.kafka.policy import LoopPolicy

_REST = 4


class Forced(StrEnum):
    """The limit that made a flush necessary before it was due."""

    MESSAGES = "messages"  # LoopPolicy.max_unflushed_messages
    MEMORY = "memory"  # the stage says that it is full


class Pace:
    """State: when the next flush is due, and from when on one may be early."""

    def __init__(self, policy: LoopPolicy, now_ms: int) -> None:
        self._policy = policy
        self._next_ms = now_ms + policy.flush_interval_ms
        self._early_from_ms = now_ms

    def wait_s(self, now_ms: int) -> float:
        """How long reading may wait for a batch to fill."""
        return max(0, min(self._policy.batch_wait_ms, self._next_ms - now_ms)) / 1_000

    def forced(self, *, unflushed: int, is_full: bool) -> Forced | None:
        """`unflushed`: messages read since the last flush; `is_full`: of the stage."""
        if is_full:
            return Forced.MEMORY
        return Forced.MESSAGES if unflushed >= self._policy.max_unflushed_messages else None

    def is_due(self, now_ms: int) -> bool:
        set_back = self._next_ms - now_ms > self._policy.flush_interval_ms
        return now_ms >= self._next_ms or set_back

    def is_early(self, now_ms: int, *, read: int, is_awaited: Callable[[], bool]) -> bool:
        """Whether to flush although none is due. `read`: messages of the last batch; a full one means that more wait,
        and the sooner those are read the better."""
        if self._policy.early_flush_gap_ms is None or read >= self._policy.batch_messages:
            return False
        return now_ms >= self._early_from_ms and is_awaited()

    def flushed(self, began_ms: int, ended_ms: int, *, early: bool) -> None:
        self._next_ms = began_ms + self._policy.flush_interval_ms
        rest_ms = max(self._policy.early_flush_gap_ms or 0, _REST * (ended_ms - began_ms))
        # The lesser of both: the clock may have been set back since the last early one.
        self._early_from_ms = ended_ms + rest_ms if early else min(self._early_from_ms, ended_ms + rest_ms)
