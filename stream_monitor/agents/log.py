"""Alerts to the log: one structured line a transition. Costs nothing; leaves format and sink to the configuration."""

from __future__ import annotations

import structlog

from stream_monitor.events.alert import AlertEvent

_log = structlog.get_logger("stream_monitor.alerts")
_LEVELS = {"info": "info", "warning": "warning", "critical": "error"}


async def log_alert(alert: AlertEvent) -> None:
    """A firing alert at the level of its severity; everything else is information."""
    level = _LEVELS.get(alert.labels.get("severity", ""), "warning") if alert.state == "firing" else "info"
    getattr(_log, level)(
        f"alert {alert.state}",
        reason=alert.reason,
        summary=alert.annotations.get("summary", ""),
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
        event_id=alert.id,
        fingerprint=alert.fingerprint,
        # Under a key of their own: a label may be called like one of the fields above.
        labels=alert.labels,
    )
