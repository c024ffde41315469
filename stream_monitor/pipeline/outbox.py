"""What one transaction of evaluate will publish, collected while messages are applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent, ReferenceRef, metric_event_id, window_ref
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


def metric_event(
    place: Place, figure: Figure, *, revision: int, final: bool, historical: bool, emitted_ms: int
) -> MetricEvent:
    """One figure as the event that is published."""
    spec = place.window.spec
    identity = {
        "model_name": place.model,
        "model_version": place.version,
        "segment": dict(place.segment),
        "metric": figure.metric,
        "feature": figure.feature,
        "revision": revision,
        "schema_id": figure.schema_id,
    }
    optional: dict[str, object] = {}
    if figure.class_ is not None or figure.metric in PER_CLASS:
        optional["class_"] = figure.class_
    if figure.detector is not None:
        optional["detector"] = figure.detector
    if figure.cells:
        optional["cells"] = figure.cells
    reference = None
    if figure.reference_id is not None and figure.reference_kind is not None:
        reference = ReferenceRef(figure.reference_id, ReferenceKind(figure.reference_kind))
    return MetricEvent(
        id=metric_event_id(
            **identity,  # type: ignore[arg-type]
            start_ms=place.window.start_ms,
            end_ms=place.window.end_ms,
            slide_ms=spec.slide_ms,
            time_basis=place.basis,
            class_=figure.class_,
            detector=figure.detector,
            reference_id=figure.reference_id,
        ),
        **identity,  # type: ignore[arg-type]
        **optional,  # type: ignore[arg-type]
        window=window_ref(place.window.start_ms, spec.size_ms, spec.slide_ms, place.basis),
        final=final,
        historical=historical,
        status=Status(figure.status),
        value=figure.value,
        n=figure.n,
        n_reference=figure.n_reference,
        error_bound=figure.error_bound,
        null_band=figure.null_band,
        p_value=figure.p_value,
        reference=reference,
        bins=figure.bins,
        emitted_at=format_timestamp(emitted_ms),
    )


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
