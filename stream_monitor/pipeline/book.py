"""Panes under way: the sums of one flush, from the first event to the delta messages.

A map-side combiner: however many events come, one flush writes one delta message a model (more if it would grow
past `MAX_DELTA_BYTES`), and then the book is empty again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from stream_monitor.events.names import TimeBasis
from stream_monitor.pipeline.messages import FORMAT, Delta, PaneDelta, SourceRange
from stream_monitor.sketches.packed import PackedPredictions
from stream_monitor.sketches.pane import LabelPane, PredictionPane

MAX_DELTA_BYTES = 512 * 1024
MISSING_TAG = "__missing__"

Segment = tuple[tuple[str, str], ...]  # ((tag, value), …), sorted by tag; () is the overall series


class PaneKey(NamedTuple):
    model: str
    version: str | None
    segment: Segment
    start_ms: int


def segments_of(tags: Mapping[str, str] | None, combinations: Iterable[tuple[str, ...]]) -> list[Segment]:
    """The segments an event belongs to, the overall one first. An absent tag is `__missing__`."""
    found: list[Segment] = [()]
    for names in combinations:
        found.append(tuple((name, (tags or {}).get(name, MISSING_TAG)) for name in sorted(names)))
    return found


class PaneBook:
    """Sums of this flush, by pane. Bounded by the series and panes that its events touch, not by their number; what
    these hold is estimated (`held_bytes`), so that a flush can be made before it is too much."""

    def __init__(self) -> None:
        self._predictions: dict[PaneKey, PredictionPane] = {}
        self._labels: dict[PaneKey, LabelPane] = {}
        self._sizes: dict[PredictionPane | LabelPane, int] = {}
        self._touched: set[PredictionPane | LabelPane] = set()
        self._held = 0

    def predictions(self, key: PaneKey) -> PredictionPane:
        pane = self._predictions.get(key)
        if pane is None:
            pane = self._predictions[key] = PredictionPane()
        self._touched.add(pane)
        return pane

    def labels(self, key: PaneKey) -> LabelPane:
        pane = self._labels.get(key)
        if pane is None:
            pane = self._labels[key] = LabelPane()
        self._touched.add(pane)
        return pane

    def held_bytes(self) -> int:
        """Memory of all panes, roughly. Only those that were handed out since the last call are looked at."""
        for pane in self._touched:
            size = pane.held_bytes
            self._held += size - self._sizes.get(pane, 0)
            self._sizes[pane] = size
        self._touched.clear()
        return self._held

    def deltas(self, ranges: list[SourceRange], topic_ids: dict[str, str]) -> Iterator[Delta]:
        """The messages of this flush, each with the flush's source ranges and the ids of the topics they are of."""
        by_model: dict[str, list[PaneDelta]] = {}
        for basis, panes in ((TimeBasis.PREDICTION, self._predictions), (TimeBasis.LABEL, self._labels)):
            for key, pane in panes.items():
                if not pane.is_empty:
                    by_model.setdefault(key.model, []).extend(
                        PaneDelta(key.version, dict(key.segment), basis, key.start_ms, data) for data in _written(pane)
                    )
        for model, panes_of_model in by_model.items():
            for part in _parts(panes_of_model):
                yield Delta(v=FORMAT, model=model, ranges=ranges, panes=part, topic_ids=topic_ids)

    def clear(self) -> None:
        self._predictions.clear()
        self._labels.clear()
        self._sizes.clear()
        self._touched.clear()
        self._held = 0


def _written(pane: PredictionPane | LabelPane) -> Iterator[bytes]:
    """The pane's bytes; of one with thousands of raw features (up to 15 kB each), those of panes that add up to it."""
    data = pane.to_bytes()
    if len(data) <= MAX_DELTA_BYTES or not isinstance(pane, PredictionPane):
        yield data
        return
    for part in PackedPredictions.read(data).split(MAX_DELTA_BYTES):
        yield part.to_bytes()


def _parts(panes: list[PaneDelta]) -> Iterator[list[PaneDelta]]:
    part: list[PaneDelta] = []
    size = 0
    for pane in panes:
        if part and size + len(pane.data) > MAX_DELTA_BYTES:
            yield part
            part, size = [], 0
        part.append(pane)
        size += len(pane.data)
    if part:
        yield part
