"""Two inputs of recorded lines merged by event time, in rounds.

Predictions set the pace: a round takes the next `chunk` of them, and the labels up to the time they have come to, each
input in its own order. A label later than that holds back those behind it; one without a time holds back nothing.
Once the predictions are over, a round takes the next `chunk` of the labels left.
Holds no more than a round at a time, however many labels one time has: those past MOST_LABELS wait for further rounds,
without predictions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_monitor.pipeline.event_times import EventTimes

MOST_LABELS = 20  # chunks of labels in one round
_LOOKED_AT = 10  # lines at a chunk's end that are asked for their time: those before them are hardly later


class Round(NamedTuple):
    """Lines to fold, predictions first.

    `labels`: up to `chunk` at a time.  `now_ms`: the time the inputs have come to.  `predictions_over`, `labels_over`:
    nothing comes after this.
    """

    predictions: list[bytes]
    labels: list[list[bytes]]
    now_ms: int
    predictions_over: bool
    labels_over: bool


def rounds(predictions: Iterable[bytes], labels: Iterable[bytes], times: EventTimes, chunk: int) -> Iterator[Round]:
    """Every line of both inputs in exactly one round."""
    first, second = _Predictions(predictions), _Labels(labels, times, chunk)
    now_ms = 0
    while not (first.is_over and second.is_over):
        lines = first.take(chunk)
        now_ms = _newest(lines, times, now_ms)
        if first.is_over:
            taken = second.take(chunk)
            now_ms = _newest(taken, times, now_ms)
            yield Round(lines, [taken] if taken else [], now_ms, True, second.is_over)
            continue
        while True:
            batches: list[list[bytes]] = []
            while len(batches) < MOST_LABELS and (taken := second.take(chunk, now_ms)):
                batches.append(taken)
            yield Round(lines, batches, now_ms, False, second.is_over)
            lines = []
            if not second.is_due(now_ms):
                break


def _newest(lines: list[bytes], times: EventTimes, before_ms: int) -> int:
    moments = (times.of(line) for line in islice(reversed(lines), _LOOKED_AT))
    return max([before_ms, *(moment for moment in moments if moment is not None)])


class _Predictions:
    """Lines with one line of look-ahead."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._rest = iter(lines)
        self._next = list(islice(self._rest, 1))

    @property
    def is_over(self) -> bool:
        return not self._next

    def take(self, most: int) -> list[bytes]:
        taken = self._next
        taken += islice(self._rest, most - len(taken))
        self._next = list(islice(self._rest, 1))
        return taken


class _Labels:
    """Lines with a block of look-ahead, of which the times are known."""

    def __init__(self, lines: Iterable[bytes], times: EventTimes, block: int) -> None:
        self._rest = iter(lines)
        self._times = times
        self._size = block
        self._read()

    @property
    def is_over(self) -> bool:
        return self._at == len(self._block)

    def is_due(self, until_ms: int) -> bool:
        """True if `take` would give at least one."""
        return not self.is_over and bool(self._moments[self._at] <= until_ms)

    def take(self, most: int, until_ms: int | None = None) -> list[bytes]:
        """Up to `most` lines; with `until_ms`, none from the first one on that lies after it."""
        taken: list[bytes] = []
        while len(taken) < most and not self.is_over:
            window = self._moments[self._at : self._at + most - len(taken)]
            n = len(window) if until_ms is None else _up_to(window, until_ms)
            taken += self._block[self._at : self._at + n]
            self._at += n
            if self.is_over:
                self._read()
            if n < len(window):
                break
        return taken

    def _read(self) -> None:
        self._block = list(islice(self._rest, self._size))
        self._moments = self._times.of_all(self._block)
        self._at = 0


def _up_to(moments: NDArray[np.int64], until_ms: int) -> int:
    """How many stand before the first one that lies after `until_ms`."""
    later = moments > until_ms
    return int(later.argmax()) if later.any() else len(later)
