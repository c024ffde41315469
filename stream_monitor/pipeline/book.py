"""Panes under way: the sums of one flush, from the first event to the delta messages.

A map-side combiner: however many events come, one flush writes one delta message a model (more if it would grow
past `MAX_DELTA_BYTES`), and then the book is empty again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from stream_monitor.events.names import TimeBasis
from stream_monitor.pipeline.messages import FORMAT, Delta, PaneDelta, SourceRange
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
    """Sums of this flush, by pane. Bounded by the series and panes that its events touch, not by their number."""

    def __init__(self) -> None:
        self._predictions: dict[PaneKey, PredictionPane] = {}
        self._labels: dict[PaneKey, LabelPane] = {}

    def predictions(self, key: PaneKey) -> PredictionPane:
        pane = self._predictions.get(key)
        if pane is None:
            pane = self._predictions[key] = PredictionPane()
        return pane

    def labels(self, key: PaneKey) -> LabelPane:
        pane = self._labels.get(key)
        if pane is None:
            pane = self._labels[key] = LabelPane()
        return pane

    def deltas(self, ranges: list[SourceRange]) -> Iterator[Delta]:
        """The messages of this flush, each with the flush's source ranges."""
        by_model: dict[str, list[PaneDelta]] = {}
        for basis, panes in ((TimeBasis.PREDICTION, self._predictions), (TimeBasis.LABEL, self._labels)):
            for key, pane in panes.items():
                if not pane.is_empty:
                    by_model.setdefault(key.model, []).append(
                        PaneDelta(key.version, dict(key.segment), basis, key.start_ms, pane.to_bytes())
                    )
        for model, panes_of_model in by_model.items():
            for part in _parts(panes_of_model):
                yield Delta(v=FORMAT, model=model, ranges=ranges, panes=part)

    def clear(self) -> None:
        self._predictions.clear()
        self._labels.clear()


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
