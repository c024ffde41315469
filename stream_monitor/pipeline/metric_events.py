"""Figures of closed windows as the events that will be published: made when they are asked for, and not kept.

When the windows of many series close, their figures wait for one transaction; as figures they take a third of what they
take as events.  An event costs 3 µs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec import UNSET

from stream_monitor.events.metric import MetricEvent, ReferenceRef, segment_label, window_ref
from stream_monitor.events.metric_ids import MetricIds
from stream_monitor.events.names import PER_CLASS, ReferenceKind, TimeBasis
from stream_monitor.events.times import format_timestamp
from stream_monitor.metrics.figure import Figure
from stream_monitor.pipeline.series import Series
from stream_monitor.windows.grid import Window


class Place(NamedTuple):
    """Whose figure it is, and of which window."""

    model: str
    version: str | None
    segment: Mapping[str, str]
    basis: TimeBasis
    window: Window


def place_of(model: str, series: Series, basis: TimeBasis, window: Window) -> Place:
    return Place(model, series.meta.version, series.meta.segment, basis, window)


class Events:
    """The events of one series, window and revision; what they have in common is made once and shared."""

    __slots__ = ("_emitted_at", "_final", "_historical", "_ids", "_revision", "_segment", "_window", "place")

    def __init__(self, place: Place, *, revision: int, final: bool, historical: bool, emitted_ms: int) -> None:
        spec, start = place.window.spec, place.window.start_ms
        self._ids = MetricIds(
            model_name=place.model,
            model_version=place.version,
            segment=place.segment,
            start_ms=start,
            end_ms=place.window.end_ms,
            slide_ms=spec.slide_ms,
            time_basis=place.basis,
            revision=revision,
        )
        self.place, self._segment = place, dict(place.segment)
        self._window = window_ref(start, spec.size_ms, spec.slide_ms, place.basis)
        self._revision, self._final, self._historical = revision, final, historical
        self._emitted_at = format_timestamp(emitted_ms)

    def id_of(self, figure: Figure) -> str:
        return self._ids.of(
            figure.metric, figure.feature, figure.class_, figure.detector, figure.reference_id, figure.schema_id
        )

    def of(self, figure: Figure) -> MetricEvent:
        """One figure as the event that is published."""
        return MetricEvent(
            id=self.id_of(figure),
            metric=figure.metric,
            model_name=self.place.model,
            model_version=self.place.version,
            segment=self._segment,
            feature=figure.feature,
            class_=figure.class_ if figure.class_ is not None or figure.metric in PER_CLASS else UNSET,
            detector=UNSET if figure.detector is None else figure.detector,
            window=self._window,
            revision=self._revision,
            final=self._final,
            historical=self._historical,
            status=figure.status,
            value=figure.value,
            n=figure.n,
            n_reference=figure.n_reference,
            error_bound=figure.error_bound,
            null_band=figure.null_band,
            p_value=figure.p_value,
            reference=_reference(figure.reference_id, figure.reference_kind),
            schema_id=figure.schema_id,
            bins=tuple(figure.bins),
            cells=figure.cells or UNSET,
            emitted_at=self._emitted_at,
        )


@lru_cache(maxsize=1_000)
def _reference(id_: str | None, kind: ReferenceKind | None) -> ReferenceRef | None:
    return None if id_ is None or kind is None else ReferenceRef(id_, kind)


class MetricEvents(Collection[MetricEvent]):
    """Those of one commit, in the order in which they are published; going through them makes them anew."""

    def __init__(
        self, groups: Sequence[tuple[Events, Sequence[Figure]]] = (), others: Sequence[MetricEvent] = ()
    ) -> None:
        self._groups, self._others = groups, others

    def __len__(self) -> int:
        return sum(len(figures) for _, figures in self._groups) + len(self._others)

    def __iter__(self) -> Iterator[MetricEvent]:
        return self._of(None)

    def __contains__(self, event: object) -> bool:
        return any(event == each for each in self)

    def of_segments(self, labels: Collection[str]) -> Iterator[MetricEvent]:
        """Only those of some segments, by their labels ("all", "country=DE")."""
        return self._of(labels)

    def unmade(self) -> Iterator[tuple[Events, Figure]]:
        """Those of figures, in order; `others` come after them."""
        return ((made, figure) for made, figures in self._groups for figure in figures)

    @property
    def others(self) -> Sequence[MetricEvent]:
        return self._others

    def _of(self, labels: Collection[str] | None) -> Iterator[MetricEvent]:
        for made, figures in self._groups:
            if labels is None or segment_label(made.place.segment) in labels:
                yield from map(made.of, figures)
        yield from (each for each in self._others if labels is None or segment_label(each.segment) in labels)
