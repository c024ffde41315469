"""What one transaction of evaluate will publish, collected while messages are applied.

It knows about how many bytes that will be, so that whoever fills it can stop: a transaction has to be over before the
broker gives it up. An estimate of 0.2 µs a bin; text that JSON has to escape makes the truth larger.
"""

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

_EVENT_BYTES = 650  # without bins, and with names of usual lengths
_BIN_BYTES = 130
_CELL_BYTES = 50
_ALERT_BYTES = 3_000


class _TooLate(NamedTuple):
    events: int
    offset: int


class Outbox:
    """Filled while applying, emptied by `take_metrics` and `take_alerts`. `touched`: state records to write, by key
    parts. `room`: bytes of events that one transaction is to hold at most."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._bytes = 0
        self._metrics: list[tuple[Events, Sequence[Figure]]] = []
        self._alerts: list[AlertEvent] = []
        self.profiles: list[Profile] = []
        self.touched: set[tuple[str | int | None, ...]] = set()
        self._too_late: dict[tuple[object, ...], tuple[Place, _TooLate]] = {}

    @property
    def is_full(self) -> bool:
        """True if what comes next had better wait for another transaction."""
        return self._bytes >= self._room

    def is_awaited(self) -> bool:
        """True if there is something that a reader of metrics or alerts waits for."""
        return bool(self._metrics or self._alerts)

    def metrics(self, events: Events, figures: Sequence[Figure]) -> None:
        """The figures of one series, window and revision."""
        self._metrics.append((events, figures))
        self._bytes += sum(map(_bytes_of, figures))

    def alert(self, event: AlertEvent) -> None:
        self._alerts.append(event)
        self._bytes += _ALERT_BYTES

    def touch(self, *parts: str | int | None) -> None:
        self.touched.add(parts)

    def too_late(self, place: Place, count: int, offset: int) -> None:
        """Count events that came after their window could no longer change."""
        key = (place.model, place.version, tuple(sorted(place.segment.items())), place.basis, place.window)
        known = self._too_late.get(key)
        self._bytes += _EVENT_BYTES if known is None else 0
        total = count + (known[1].events if known else 0)
        self._too_late[key] = (place, _TooLate(total, offset))

    def take_metrics(self, emitted_ms: int, is_historical: Callable[[int], bool]) -> MetricEvents:
        """All metric events of this transaction."""
        groups, self._metrics, self._bytes = self._metrics, [], 0
        return MetricEvents(groups, tuple(self._take_too_late(emitted_ms, is_historical)))

    def take_alerts(self) -> list[AlertEvent]:
        taken, self._alerts = self._alerts, []
        return taken

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


def _bytes_of(figure: Figure) -> int:
    size = _EVENT_BYTES
    for each in figure.bins:
        size += _BIN_BYTES + len(each.bin)
    for cell in figure.cells:
        size += _CELL_BYTES + len(cell.actual) + len(cell.predicted)
    return size
