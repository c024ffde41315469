"""What one transaction of evaluate will publish, collected while messages are applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent, metric_event_id, window_ref
from stream_monitor.events.names import Status
from stream_monitor.events.times import format_timestamp
from stream_monitor.metrics.figure import Figure
from stream_monitor.pipeline.metric_events import Events, MetricEvents, Place
from stream_monitor.reference.profile import Profile


class _TooLate(NamedTuple):
    events: int
    offset: int


class Outbox:
    """Filled while applying, emptied by `take`. `touched`: state records to write, by key parts."""

    def __init__(self) -> None:
        self.metrics: list[tuple[Events, Sequence[Figure]]] = []
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

    def take_metrics(self, emitted_ms: int, is_historical: Callable[[int], bool]) -> MetricEvents:
        """All metric events of this transaction."""
        groups, self.metrics = self.metrics, []
        return MetricEvents(groups, tuple(self._take_too_late(emitted_ms, is_historical)))

    def _take_too_late(self, emitted_ms: int, is_historical: Callable[[int], bool]) -> Iterator[MetricEvent]:
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
