"""The pauses of Python's cyclic garbage collector, counted by the collector itself through `gc.callbacks`.

Promises: seconds and collections by generation, only growing, of all threads: a collection stops them all. Costs
two clock reads a collection. Leaves to others: how often it collects (app/stages.py), and the exposition.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple


class Pauses(NamedTuple):
    collections: int
    seconds: float


class GarbageWatch:
    """Counts while it is entered; may be read from any thread."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began: float | None = None
        self._pauses: dict[int, Pauses] = {}

    def __enter__(self) -> GarbageWatch:
        gc.callbacks.append(self._collecting)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gc.callbacks.remove(self._collecting)

    def pauses(self) -> Mapping[int, Pauses]:
        """By generation: 0, the young, to 2, everything."""
        return dict(self._pauses)

    def _collecting(self, phase: str, info: Mapping[str, int]) -> None:
        # Collections do not overlap, so one beginning is enough. None: entered in the middle of one.
        if phase == "start":
            self._began = self._clock()
        elif self._began is not None:
            held = self._pauses.get(info["generation"], Pauses(0, 0.0))
            passed = self._clock() - self._began
            self._pauses[info["generation"]] = Pauses(held.collections + 1, held.seconds + max(0.0, passed))
            self._began = None
