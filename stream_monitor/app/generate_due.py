"""What is made but not yet due, smallest first: 32 bytes a record, whatever it says.

Sorted runs, each at least twice as long as the next one, as in a log-structured merge tree: a block is added and taken
as a whole, and a record is moved about log2(records waiting / block) times. A heap of tuples costs ten times as much.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

# at: when to send, ms. number: decides between records due at once; no two have the same. event: its own time, ms.
# truth: of a label, see Columns.
RECORD = np.dtype([("at", np.int64), ("number", np.int64), ("event", np.int64), ("truth", np.float64)])
Records = NDArray[np.void]


def records(size: int) -> Records:
    return np.empty(size, RECORD)


class Due:
    def __init__(self) -> None:
        self._runs: list[Records] = []  # longest first

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def add(self, more: Records) -> None:
        run = _in_order(more)
        while self._runs and len(self._runs[-1]) < 2 * len(run):
            run = _in_order(np.concatenate((self._runs.pop(), run)))
        if len(run):
            self._runs.append(run)

    def take(self, until_ms: float) -> Records:
        """All that is due at `until_ms` or before, in order."""
        taken: list[Records] = []
        left: list[Records] = []
        for run in self._runs:
            cut = bisect_right(run["at"], until_ms)  # not searchsorted: it would copy the column
            if cut:
                taken.append(run[:cut])
            if cut < len(run):
                left.append(run[cut:])
        self._runs = left
        return _in_order(np.concatenate(taken)) if taken else records(0)


def _in_order(found: Records) -> Records:
    # take, not an index: of records that is fifteen times as fast.
    return found.take(np.lexsort((found["number"], found["at"])))
