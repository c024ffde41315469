"""Where the time of a loop goes: every moment belongs to exactly one step.

Wall clock, so that the steps together are the time that passed. Of reading, the part in which this thread ran is
CONSUME and the rest WAIT: a loop that waits has nothing to do, or its process does not get the processor (or, with
other roles in the same process, the interpreter). Costs about a microsecond a change of step, a few changes a batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum


class Step(StrEnum):
    """What a loop can be at."""

    WAIT = "wait"  # for messages
    CONSUME = "consume"  # taking messages out of the client
    PROCESS = "process"  # decoding and folding them
    DRAIN = "drain"  # making the records of a flush
    PRODUCE = "produce"  # handing the records to the brokers, up to their acknowledgement
    COMMIT = "commit"  # sending offsets and ending the transaction
    STORE = "store"  # after the commit: the join store, what is shown
    ASSIGN = "assign"  # taking over and giving up partitions: restore, replay
    OTHER = "other"


class Steps:
    """The step a loop is at, and the seconds it spent in each. One thread only."""

    def __init__(
        self, clock: Callable[[], float] = time.perf_counter, busy: Callable[[], float] = time.thread_time
    ) -> None:
        """`clock`: seconds that pass; `busy`: seconds this thread ran."""
        self._clock, self._busy = clock, busy
        self._step = Step.OTHER
        self._seconds = dict.fromkeys(Step, 0.0)
        self._busy_since = 0.0
        self.since = clock()  # when the step under way began

    def enter(self, step: Step) -> Step:
        """From now on time counts for `step`; returns the step that was left."""
        now, left = self._clock(), self._step
        passed = now - self.since
        if left is Step.CONSUME:
            ran = min(passed, self._busy() - self._busy_since)
            self._seconds[Step.WAIT] += passed - ran
            passed = ran
        self._seconds[left] += passed
        self._step, self.since = step, now
        if step is Step.CONSUME:
            self._busy_since = self._busy()
        return left

    @contextmanager
    def within(self, step: Step) -> Iterator[None]:
        """Enter the step, and afterwards the one that was left, however it ends."""
        left = self.enter(step)
        try:
            yield
        finally:
            self.enter(left)

    def take(self) -> Mapping[Step, float]:
        """Seconds by step since the last `take`, up to now."""
        self.enter(self._step)
        seconds, self._seconds = self._seconds, dict.fromkeys(Step, 0.0)
        return seconds
