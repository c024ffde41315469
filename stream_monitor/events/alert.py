"""The alert event: one transition of one rule on one series, in the shape Alertmanager uses.

Fingerprints, ids and sentences are made in alerts/; this file only shapes them.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct, field

from stream_monitor.errors import FormatError
from stream_monitor.events.metric import Bin, MetricEvent
from stream_monitor.events.unreadable import UNREADABLE

AlertState = Literal["pending", "firing", "resolved"]
Severity = Literal["info", "warning", "critical"]


class FeatureEvidence(Struct, frozen=True):
    """How far one feature moved in the alert's window."""

    feature: str
    metric: str
    value: float | None
    p_value: float | None = None


class AlertEvidence(Struct, frozen=True):
    """Why: the metric event judged, its largest bins and the features that moved most, both in falling order.

    `performance_moved`: whether performance changed too; null while no labels tell.
    """

    metric: MetricEvent | None = None
    top_bins: tuple[Bin, ...] = ()
    top_features: tuple[FeatureEvidence, ...] = ()
    performance_moved: bool | None = None


class AlertEvent(Struct, frozen=True, kw_only=True):
    """Times are RFC 3339; `endsAt` is null until resolved. `labels` hold `alertname` and `severity`."""

    id: str
    fingerprint: str
    state: AlertState
    reason: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str = field(name="startsAt")
    ends_at: str | None = field(default=None, name="endsAt")
    generator_url: str = field(default="", name="generatorURL")
    historical: bool = False
    evidence: AlertEvidence = AlertEvidence()

    def encode(self) -> bytes:
        """JSON; NaN and infinite numbers become null."""
        return _ENCODER.encode(self)

    @staticmethod
    def decode(data: bytes) -> AlertEvent:
        """Raises FormatError for anything that is not an alert event."""
        try:
            return _DECODER.decode(data)
        except UNREADABLE as error:
            raise FormatError(f"not an alert event: {error}") from error


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(AlertEvent)
