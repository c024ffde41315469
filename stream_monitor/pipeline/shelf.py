"""The panes of one series by one time basis, by start: bytes at rest, open while a transaction adds to them.

The bytes at rest are those of the state record, so a pane takes what it takes there (2 kB for 20 features), a restart
reads no more of it than its counts, and what a transaction writes is what is kept.  A pane opens at its second delta
(10 µs) and closes when it is written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from stream_monitor.sketches.bottom_k import BottomK
from stream_monitor.sketches.packed import PackedLabels, PackedPredictions
from stream_monitor.sketches.pane import LabelPane, PredictionPane

PaneT = TypeVar("PaneT", PredictionPane, LabelPane)
PackedT = TypeVar("PackedT", PackedPredictions, PackedLabels)


class _Shelf(ABC, Generic[PaneT, PackedT]):
    """A pane is in one of the two dicts, never in both."""

    __slots__ = ("_closed", "_open")

    def __init__(self) -> None:
        self._closed: dict[int, bytes] = {}
        self._open: dict[int, PaneT] = {}

    @staticmethod
    @abstractmethod
    def read(data: bytes) -> PackedT:
        """A delta or a pane as written; FormatError if it is of another format."""

    @staticmethod
    @abstractmethod
    def _new() -> PaneT: ...

    @staticmethod
    @abstractmethod
    def _add(pane: PaneT, packed: PackedT) -> None: ...

    def __iter__(self) -> Iterator[int]:
        """Starts, in no order."""
        yield from self._closed
        yield from self._open

    def __len__(self) -> int:
        return len(self._closed) + len(self._open)

    def add(self, start_ms: int, packed: PackedT) -> None:
        """Merge a delta, or a pane of a state record."""
        pane = self._open.get(start_ms)
        if pane is None:
            data = self._closed.pop(start_ms, None)
            if data is None:
                self._closed[start_ms] = packed.to_bytes()
                return
            pane = self._open[start_ms] = self._new()
            self._add(pane, self.read(data))
        self._add(pane, packed)

    def record(self, start_ms: int) -> bytes | None:
        """The pane as written, which is all that is kept of it from now on; None: there is none."""
        pane = self._open.pop(start_ms, None)
        if pane is not None:
            self._closed[start_ms] = pane.to_bytes()
        return self._closed.get(start_ms)

    def forget(self, start_ms: int) -> None:
        self._closed.pop(start_ms, None)
        self._open.pop(start_ms, None)

    def merged(self, starts: Iterable[int]) -> PaneT:
        """The sum of those there are of `starts`, as a pane of its own."""
        total = self._new()
        for start in starts:
            if (data := self._closed.get(start)) is not None:
                self._add(total, self.read(data))
            elif (pane := self._open.get(start)) is not None:
                total.merge(pane)
        return total


class PredictionShelf(_Shelf[PredictionPane, PackedPredictions]):
    __slots__ = ()

    @staticmethod
    def read(data: bytes) -> PackedPredictions:
        return PackedPredictions.read(data)

    @staticmethod
    def _new() -> PredictionPane:
        return PredictionPane()

    @staticmethod
    def _add(pane: PredictionPane, packed: PackedPredictions) -> None:
        pane.add_packed(packed)


class LabelShelf(_Shelf[LabelPane, PackedLabels]):
    __slots__ = ()

    @staticmethod
    def read(data: bytes) -> PackedLabels:
        return PackedLabels.read(data)

    @staticmethod
    def _new() -> LabelPane:
        return LabelPane()

    @staticmethod
    def _add(pane: LabelPane, packed: PackedLabels) -> None:
        pane.add_packed(packed)

    def counts_of(self, starts: Iterable[int]) -> tuple[int, int]:
        """Pairs and deadlines of the panes that begin at `starts`: their sketches stay unread (1 µs a pane)."""
        joined = deadlines = 0
        for start in starts:
            pane: LabelPane | PackedLabels | None = self._open.get(start)
            if pane is None and (data := self._closed.get(start)) is not None:
                pane = self.read(data)
            if pane is not None:
                joined += pane.joined
                deadlines += pane.deadlines
        return joined, deadlines

    def take_sample(self, start_ms: int) -> BottomK | None:
        """Hand out the sample of a pane, which has none from now on."""
        data = self.record(start_ms)
        if data is None or (packed := self.read(data)).sample is None:
            return None
        self._closed[start_ms] = packed.without_sample().to_bytes()
        return BottomK.from_bytes(packed.sample)
