"""What the world may know of a loop: immutable, made anew after each commit."""

from __future__ import annotations

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
