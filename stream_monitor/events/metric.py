"""The metric event: one figure of one series in one window, as published on the metrics topic.

Field order is the contract's. Ids are deterministic: the same figure of the same revision has the same id in
every run, so a reader may drop repeats. Figures are computed in metrics/; this file only shapes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from stream_monitor.errors import FormatError
from stream_monitor.events.names import ALL_SEGMENTS, ReferenceKind, Status, TimeBasis
from stream_monitor.events.times import format_duration, format_timestamp
from stream_monitor.events.unreadable import UNREADABLE

# Any fixed UUID would do; changing it would change every id ever published.
METRIC_NAMESPACE = UUID("5f0c8d1e-7f0b-5c39-9d55-3d1a2c4b6e70")


# gc=False where nothing refers back: the events of one closing are a hundred thousand of these.
class WindowRef(Struct, frozen=True, gc=False):
    """[start, end) in RFC 3339, sizes in seconds."""

    start: str
    end: str
    size_seconds: int | float
    slide_seconds: int | float
    time_basis: TimeBasis


class ReferenceRef(Struct, frozen=True, gc=False):
    id: str
    kind: ReferenceKind


class NullBand(Struct, frozen=True, gc=False):
    """What the figure would be without drift at these sample sizes."""

    mean: float
    p95: float


class DetectorRef(Struct, frozen=True, gc=False):
    kind: str
    signal: str


class Bin(Struct, frozen=True, gc=False):
    """`low` and `high` are null at open ends and for named bins (=value, novel, missing, invalid).

    `expected` and `actual` are plain shares; smoothing is inside `contribution` only.
    """

    bin: str
    low: float | None
    high: float | None
    expected: float
    actual: float
    contribution: float


class Cell(Struct, frozen=True, gc=False):
    """One cell of a confusion matrix."""

    actual: str
    predicted: str
    count: int


class MetricEvent(Struct, frozen=True, kw_only=True, gc=False):
    """`model_version` is null for figures of the whole model. `class`, `detector`, `cells`: where they apply."""

    id: str
    metric: str
    model_name: str
    model_version: str | None
    segment: dict[str, str] = field(default_factory=dict)
    feature: str | None = None
    class_: str | UnsetType | None = field(default=UNSET, name="class")
    detector: DetectorRef | UnsetType = UNSET
    window: WindowRef
    revision: int = 0
    final: bool = False
    historical: bool = False
    status: Status
    value: float | None
    n: int
    n_reference: int | None = None
    error_bound: float | None = None
    null_band: NullBand | None = None
    p_value: float | None = None
    reference: ReferenceRef | None = None
    schema_id: str | None = None
    bins: tuple[Bin, ...] = ()
    cells: tuple[Cell, ...] | UnsetType = UNSET
    emitted_at: str

    def encode(self) -> bytes:
        """JSON; NaN and infinite numbers become null."""
        return _ENCODER.encode(self)

    @staticmethod
    def decode(data: bytes) -> MetricEvent:
        """Raises FormatError for anything that is not a metric event."""
        try:
            return _DECODER.decode(data)
        except UNREADABLE as error:
            raise FormatError(f"not a metric event: {error}") from error


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(MetricEvent)


def window_ref(start_ms: int, size_ms: int, slide_ms: int, time_basis: TimeBasis) -> WindowRef:
    return WindowRef(
        start=format_timestamp(start_ms),
        end=format_timestamp(start_ms + size_ms),
        size_seconds=_seconds(size_ms),
        slide_seconds=_seconds(slide_ms),
        time_basis=time_basis,
    )


def metric_event_id(
    *,
    model_name: str,
    model_version: str | None,
    segment: Mapping[str, str],
    start_ms: int,
    end_ms: int,
    slide_ms: int,
    time_basis: TimeBasis,
    metric: str,
    feature: str | None = None,
    class_: str | None = None,
    detector: DetectorRef | None = None,
    reference_id: str | None = None,
    schema_id: str | None = None,
    revision: int = 0,
    panes_offset: int | None = None,
) -> str:
    """UUID5 of all that tells one figure from another.

    `panes_offset` is for `too_late` only: increments of one window differ in it. The name is a JSON array, so no
    separator inside a name can make two figures alike.
    """
    parts: list[Any] = [
        model_name,
        model_version,
        sorted(segment.items()),
        start_ms,
        end_ms,
        slide_ms,
        str(time_basis),
        str(metric),
        feature,
        class_,
        None if detector is None else [detector.kind, detector.signal],
        reference_id,
        schema_id,
        revision,
        panes_offset,
    ]
    return str(uuid5(METRIC_NAMESPACE, json.dumps(parts, separators=(",", ":"))))


def segment_label(segment: Mapping[str, str]) -> str:
    """Prometheus form: {} → "all", {"plan": "x", "country": "DE"} → "country=DE,plan=x".

    A backslash stands before commas and backslashes of the values (in keys, before = too): tags come from the stream,
    and no two segments may share a label, as alerts are told apart by it.
    """
    if not segment:
        return ALL_SEGMENTS
    return ",".join(f"{_escaped(key, ',=')}={_escaped(value, ',')}" for key, value in sorted(segment.items()))


def _escaped(text: str, separators: str) -> str:
    for mark in "\\" + separators:
        if mark in text:
            text = text.replace(mark, "\\" + mark)
    return text


def window_label(size_ms: int, slide_ms: int) -> str:
    """Prometheus form: tumbling "5m", sliding "1h/5m" (size/slide)."""
    if size_ms == slide_ms:
        return format_duration(size_ms)
    return f"{format_duration(size_ms)}/{format_duration(slide_ms)}"


def _seconds(ms: int) -> int | float:
    return ms // 1_000 if ms % 1_000 == 0 else ms / 1_000
