"""What one transaction of evaluate will publish, collected while messages are applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from msgspec import UNSET

from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent, ReferenceRef, metric_event_id, window_ref
from stream_monitor.events.metric_ids import MetricIds
from stream_monitor.events.names import PER_CLASS, ReferenceKind, Status, TimeBasis
from stream_monitor.events.times import format_timestamp
from stream_monitor.metrics.figure import Figure
from stream_monitor.pipeline.series import Series
from stream_monitor.reference.profile import Profile
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
        self._place, self._segment = place, dict(place.segment)
        self._window = window_ref(start, spec.size_ms, spec.slide_ms, place.basis)
        self._revision, self._final, self._historical = revision, final, historical
        self._emitted_at = format_timestamp(emitted_ms)

    def of(self, figure: Figure) -> MetricEvent:
        """One figure as the event that is published."""
        return MetricEvent(
            id=self._ids.of(
                figure.metric, figure.feature, figure.class_, figure.detector, figure.reference_id, figure.schema_id
            ),
            metric=figure.metric,
            model_name=self._place.model,
            model_version=self._place.version,
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
            bins=figure.bins,
            cells=figure.cells or UNSET,
            emitted_at=self._emitted_at,
        )


@lru_cache(maxsize=1_000)
def _reference(id_: str | None, kind: ReferenceKind | None) -> ReferenceRef | None:
    return None if id_ is None or kind is None else ReferenceRef(id_, kind)


class _TooLate(NamedTuple):
    events: int
    offset: int


class Outbox:
    """Filled while applying, emptied by `take`. `touched`: state records to write, by key parts."""

    def __init__(self) -> None:
        self.metrics: list[MetricEvent] = []
        self.alerts: list[AlertEvent] = []
        self.profiles: list[Profile] = []
        self.touched: set[tuple[str | int | None, ...]] = set()
        self._too_late: dict[tuple[object, ...], tuple[Place, _TooLate]] = {}

    def touch(self, *parts: str | int | None) -> None:
        self.touched.add(parts)

    def too_late(self, place: Place, count: int, offset: int) -> None:
        """Count events that came after their window could no longer change."""
        key = (place.model, place.version, tuple(sorted(place.segment.items())), place.basis, place.window)
        known = self._too_late.get(key)
        total = count + (known[1].events if known else 0)
        self._too_late[key] = (place, _TooLate(total, offset))

    def take_too_late(self, emitted_ms: int, is_historical: Callable[[int], bool]) -> Iterator[MetricEvent]:
        """One increment a series, window and time basis; the panes offset in its id tells increments apart."""
        for place, late in self._too_late.values():
            spec, window = place.window.spec, place.window
            yield MetricEvent(
                id=metric_event_id(
                    model_name=place.model,
                    model_version=place.version,
                    segment=place.segment,
                    start_ms=window.start_ms,
                    end_ms=window.end_ms,
                    slide_ms=spec.slide_ms,
                    time_basis=place.basis,
                    metric="too_late",
                    panes_offset=late.offset,
                ),
                metric="too_late",
                model_name=place.model,
                model_version=place.version,
                segment=dict(place.segment),
                window=window_ref(window.start_ms, spec.size_ms, spec.slide_ms, place.basis),
                final=True,
                historical=is_historical(window.end_ms),
                status=Status.OK,
                value=float(late.events),
                n=late.events,
                emitted_at=format_timestamp(emitted_ms),
            )
        self._too_late.clear()
