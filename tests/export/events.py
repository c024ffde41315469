"""Metric and alert events as short as a test wants them."""

from __future__ import annotations

from typing import Any

from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent, ReferenceRef, window_ref
from stream_monitor.events.names import ReferenceKind, Status, TimeBasis

MINUTE = 60_000
FIVE = 5 * MINUTE
HOUR = 60 * MINUTE
TRAINING = ReferenceRef("profile-1", ReferenceKind.TRAINING)


def metric(
    name: str,
    value: float | None = 1.0,
    *,
    model: str = "credit",
    version: str | None = "1",
    start: int = 0,
    size: int = FIVE,
    slide: int | None = None,
    basis: TimeBasis = TimeBasis.PREDICTION,
    status: Status = Status.OK,
    n: int = 100,
    **more: Any,
) -> MetricEvent:
    more.setdefault("reference", TRAINING if name in ("psi", "csi") else None)
    return MetricEvent(
        id="m",
        metric=name,
        model_name=model,
        model_version=version,
        window=window_ref(start, size, size if slide is None else slide, basis),
        status=status,
        value=value,
        n=n,
        emitted_at="2026-11-20T10:15:30.123Z",
        **more,
    )


def alert(state: str = "firing", *, fingerprint: str = "f", historical: bool = False, id_: str = "a") -> AlertEvent:
    return AlertEvent(
        id=id_,
        fingerprint=fingerprint,
        state=state,  # type: ignore[arg-type]
        reason="fired",
        labels={"alertname": "input-drift", "severity": "warning", "model_name": "credit", "feature": "income"},
        annotations={"summary": "csi of income is 0.31, above 0.2"},
        starts_at="2026-11-20T10:15:00.000Z",
        historical=historical,
    )
