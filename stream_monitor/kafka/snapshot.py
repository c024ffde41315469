"""What the world may know of a loop: immutable, made anew after each commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from stream_monitor.kafka.stage import TP


@dataclass(frozen=True, slots=True)
class LoopSnapshot:
    """State as of the last commit (or assignment).

    `consumed` counts messages per topic whose transaction committed; `positions` are the committed next offsets of
    the owned partitions; `lag` is messages up to the last known end, absent where no end is known;
    `committed_at_ms` is the wall clock of the last commit, None before the first; `aborts` and `dropped`
    (messages of former assignments) are totals.
    """

    positions: Mapping[TP, int] = field(default_factory=dict)
    lag: Mapping[TP, int] = field(default_factory=dict)
    consumed: Mapping[str, int] = field(default_factory=dict)
    commits: int = 0
    aborts: int = 0
    dropped: int = 0
    committed_at_ms: int | None = None
    rebalances: int = 0


class Tally:
    """The counters behind the snapshots: what is not committed yet stands apart and goes with an abort."""

    def __init__(self) -> None:
        self.unflushed: Counter[str] = Counter()
        self.ends: dict[TP, int] = {}
        self.dropped = 0
        self.rebalances = 0
        self.aborts_in_a_row = 0
        self._aborts = 0
        self._commits = 0
        self._committed_at_ms: int | None = None
        self._consumed: Counter[str] = Counter()

    def committed(self, now_ms: int) -> None:
        self.aborts_in_a_row = 0
        self._commits += 1
        self._committed_at_ms = now_ms
        self._consumed.update(self.unflushed)
        self.unflushed.clear()

    def aborted(self) -> None:
        self.aborts_in_a_row += 1
        self._aborts += 1

    def snapshot(self, positions: Mapping[TP, int]) -> LoopSnapshot:
        return LoopSnapshot(
            positions=positions,
            lag={tp: max(0, self.ends[tp] - at) for tp, at in positions.items() if tp in self.ends},
            consumed=dict(self._consumed),
            commits=self._commits,
            aborts=self._aborts,
            dropped=self.dropped,
            committed_at_ms=self._committed_at_ms,
            rebalances=self.rebalances,
        )
