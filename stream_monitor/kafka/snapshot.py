"""What the world may know of a loop: immutable, made anew after each commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stream_monitor.kafka.pace import Forced
from stream_monitor.kafka.stage import TP
from stream_monitor.kafka.steps import Step


@dataclass(frozen=True, slots=True)
class Work:
    """What the loop did since the snapshot before: increments, which include work that was aborted and done again.

    `seconds` by step are all the time that passed; `batches` has the messages of each batch handed to the stage,
    `transactions` the seconds of each committed transaction; `produced` counts records of committed ones by topic;
    `forced` counts flushes made before they were due, by the limit that was reached.
    """

    seconds: Mapping[Step, float] = field(default_factory=dict)
    batches: Sequence[int] = ()
    transactions: Sequence[float] = ()
    produced: Mapping[str, int] = field(default_factory=dict)
    aborts: int = 0
    rebalances: int = 0
    forced: Mapping[Forced, int] = field(default_factory=dict)


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
    work: Work = field(default_factory=Work)


class Tally:
    """The counters behind the snapshots: what is not committed yet stands apart and goes with an abort."""

    def __init__(self) -> None:
        self.unflushed: Counter[str] = Counter()
        self.ends: dict[TP, int] = {}
        self.dropped = 0
        self.rebalances = 0
        self.aborts_in_a_row = 0
        self.batches: list[int] = []
        self.forced: Counter[Forced] = Counter()
        self._aborts = 0
        self._commits = 0
        self._committed_at_ms: int | None = None
        self._consumed: Counter[str] = Counter()
        self._transactions: list[float] = []
        self._produced: Counter[str] = Counter()
        self._shown_aborts = self._shown_rebalances = 0

    def committed(self, now_ms: int, produced: Mapping[str, int], seconds: float) -> None:
        """`produced`: records by topic; `seconds`: how long the transaction took."""
        self.aborts_in_a_row = 0
        self._commits += 1
        self._committed_at_ms = now_ms
        self._consumed.update(self.unflushed)
        self.unflushed.clear()
        self._produced.update(produced)
        self._transactions.append(seconds)

    def aborted(self) -> None:
        self.aborts_in_a_row += 1
        self._aborts += 1

    def snapshot(self, positions: Mapping[TP, int], seconds: Mapping[Step, float]) -> LoopSnapshot:
        """`seconds`: by step, since the snapshot before."""
        return LoopSnapshot(
            positions=positions,
            lag={tp: max(0, self.ends[tp] - at) for tp, at in positions.items() if tp in self.ends},
            consumed=dict(self._consumed),
            commits=self._commits,
            aborts=self._aborts,
            dropped=self.dropped,
            committed_at_ms=self._committed_at_ms,
            rebalances=self.rebalances,
            work=self._work(seconds),
        )

    def _work(self, seconds: Mapping[Step, float]) -> Work:
        work = Work(
            seconds,
            self.batches,
            self._transactions,
            self._produced,
            self._aborts - self._shown_aborts,
            self.rebalances - self._shown_rebalances,
            self.forced,
        )
        self.forced = Counter()
        self.batches, self._transactions, self._produced = [], [], Counter()
        self._shown_aborts, self._shown_rebalances = self._aborts, self.rebalances
        return work
